//go:build amd64 && !noasm

#include "textflag.h"

// func squaredErrorAVX512(a, b []float32) float32
TEXT ·squaredErrorAVX512(SB), NOSPLIT, $0-52
	MOVQ   a_base+0(FP), SI
	MOVQ   a_len+8(FP), CX
	MOVQ   b_base+24(FP), DI
	VPXORQ Z4, Z4, Z4
	VPXORQ Z5, Z5, Z5
	VPXORQ Z6, Z6, Z6
	VPXORQ Z7, Z7, Z7

loop:
	SUBQ        $64, CX
	JLT         rest
	VMOVUPS     0(SI), Z0
	VMOVUPS     64(SI), Z1
	VMOVUPS     128(SI), Z2
	VMOVUPS     192(SI), Z3
	VSUBPS      0(DI), Z0, Z0
	VSUBPS      64(DI), Z1, Z1
	VSUBPS      128(DI), Z2, Z2
	VSUBPS      192(DI), Z3, Z3
	VFMADD231PS Z0, Z0, Z4
	VFMADD231PS Z1, Z1, Z5
	VFMADD231PS Z2, Z2, Z6
	VFMADD231PS Z3, Z3, Z7
	ADDQ        $256, SI
	ADDQ        $256, DI
	JMP         loop

rest:
	ADDQ        $64, CX
	MOVQ        $1, AX
	SHLQ        CX, AX
	DECQ        AX
	KMOVW       AX, K1
	SHRQ        $16, AX
	KMOVW       AX, K2
	SHRQ        $16, AX
	KMOVW       AX, K3
	SHRQ        $16, AX
	KMOVW       AX, K4
	VMOVUPS.Z   0(SI), K1, Z0
	VMOVUPS.Z   64(SI), K2, Z1
	VMOVUPS.Z   128(SI), K3, Z2
	VMOVUPS.Z   192(SI), K4, Z3
	VMOVUPS.Z   0(DI), K1, Z8
	VMOVUPS.Z   64(DI), K2, Z9
	VMOVUPS.Z   128(DI), K3, Z10
	VMOVUPS.Z   192(DI), K4, Z11
	VSUBPS      Z8, Z0, Z0
	VSUBPS      Z9, Z1, Z1
	VSUBPS      Z10, Z2, Z2
	VSUBPS      Z11, Z3, Z3
	VFMADD231PS Z0, Z0, Z4
	VFMADD231PS Z1, Z1, Z5
	VFMADD231PS Z2, Z2, Z6
	VFMADD231PS Z3, Z3, Z7

	VADDPS        Z6, Z4, Z4
	VADDPS        Z7, Z5, Z5
	VADDPS        Z5, Z4, Z4
	VEXTRACTF64X4 $1, Z4, Y5
	VADDPS        Y5, Y4, Y4
	VEXTRACTF128  $1, Y4, X5
	VADDPS        X5, X4, X4
	VMOVHLPS      X4, X4, X5
	VADDPS        X5, X4, X4
	VMOVSHDUP     X4, X5
	VADDSS        X5, X4, X4
	VMOVSS        X4, ret+48(FP)
	VZEROUPPER
	RET
