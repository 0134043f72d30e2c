//go:build amd64 && !noasm

#include "textflag.h"

// Of each of the six masks, 16 bytes: all bits where it keeps a value,
DATA carryKeeps<>+0x00(SB)/8, $0xffffffffffffffff
DATA carryKeeps<>+0x08(SB)/8, $0x0000000000000000
DATA carryKeeps<>+0x10(SB)/8, $0x00000000ffffffff
DATA carryKeeps<>+0x18(SB)/8, $0x00000000ffffffff
DATA carryKeeps<>+0x20(SB)/8, $0x00000000ffffffff
DATA carryKeeps<>+0x28(SB)/8, $0xffffffff00000000
DATA carryKeeps<>+0x30(SB)/8, $0xffffffff00000000
DATA carryKeeps<>+0x38(SB)/8, $0x00000000ffffffff
DATA carryKeeps<>+0x40(SB)/8, $0xffffffff00000000
DATA carryKeeps<>+0x48(SB)/8, $0xffffffff00000000
DATA carryKeeps<>+0x50(SB)/8, $0x0000000000000000
DATA carryKeeps<>+0x58(SB)/8, $0xffffffffffffffff
GLOBL carryKeeps<>(SB), RODATA|NOPTR, $96

// which two it keeps,
DATA carryTake<>+0x00(SB)/8, $0x0000000100000000
DATA carryTake<>+0x08(SB)/8, $0x0000000000000000
DATA carryTake<>+0x10(SB)/8, $0x0000000200000000
DATA carryTake<>+0x18(SB)/8, $0x0000000000000000
DATA carryTake<>+0x20(SB)/8, $0x0000000300000000
DATA carryTake<>+0x28(SB)/8, $0x0000000000000000
DATA carryTake<>+0x30(SB)/8, $0x0000000200000001
DATA carryTake<>+0x38(SB)/8, $0x0000000000000000
DATA carryTake<>+0x40(SB)/8, $0x0000000300000001
DATA carryTake<>+0x48(SB)/8, $0x0000000000000000
DATA carryTake<>+0x50(SB)/8, $0x0000000300000002
DATA carryTake<>+0x58(SB)/8, $0x0000000000000000
GLOBL carryTake<>(SB), RODATA|NOPTR, $96

// and which of the two a place has.
DATA carryPut<>+0x00(SB)/8, $0x0000000100000000
DATA carryPut<>+0x08(SB)/8, $0x0000000000000000
DATA carryPut<>+0x10(SB)/8, $0x0000000000000000
DATA carryPut<>+0x18(SB)/8, $0x0000000000000001
DATA carryPut<>+0x20(SB)/8, $0x0000000000000000
DATA carryPut<>+0x28(SB)/8, $0x0000000100000000
DATA carryPut<>+0x30(SB)/8, $0x0000000000000000
DATA carryPut<>+0x38(SB)/8, $0x0000000000000001
DATA carryPut<>+0x40(SB)/8, $0x0000000000000000
DATA carryPut<>+0x48(SB)/8, $0x0000000100000000
DATA carryPut<>+0x50(SB)/8, $0x0000000000000000
DATA carryPut<>+0x58(SB)/8, $0x0000000100000000
GLOBL carryPut<>(SB), RODATA|NOPTR, $96

// func BlockCarryAVX2(values, s *float32, mask *uint8, from *float32, maskFrom *uint8, was *float32, maskWas *uint8, groups int, beyond, momentum float32)
TEXT ·BlockCarryAVX2(SB), NOSPLIT, $0-72
	MOVQ         values+0(FP), DI
	MOVQ         s+8(FP), SI
	MOVQ         mask+16(FP), R8
	MOVQ         from+24(FP), R9
	MOVQ         maskFrom+32(FP), R10
	MOVQ         was+40(FP), R11
	MOVQ         maskWas+48(FP), R12
	MOVQ         groups+56(FP), CX
	VBROADCASTSS beyond+64(FP), Y14
	VBROADCASTSS momentum+68(FP), Y15
	LEAQ         carryKeeps<>(SB), DX
	LEAQ         carryTake<>(SB), R13
	LEAQ         carryPut<>(SB), R15

loop:
	MOVBLZX      (R8), AX
	MOVBLZX      1(R8), BX
	SHLL         $4, AX
	SHLL         $4, BX
	VPMOVZXBQ    (R8), X0
	VPMOVZXBQ    (R10), X1
	VPMOVZXBQ    (R12), X2
	VPCMPEQQ     X1, X0, X1
	VPCMPEQQ     X2, X0, X2
	VPERMQ       $0x50, Y1, Y1
	VPERMQ       $0x50, Y2, Y2
	VMOVUPS      (DX)(AX*1), X3
	VINSERTF128  $1, (DX)(BX*1), Y3, Y3
	VMOVUPS      (R13)(AX*1), X4
	VINSERTF128  $1, (R13)(BX*1), Y4, Y4
	VMOVUPS      (R15)(AX*1), X5
	VINSERTF128  $1, (R15)(BX*1), Y5, Y5
	VMOVUPS      (R11), X6
	VPERMQ       $0x50, Y6, Y6
	VPERMILPS    Y5, Y6, Y6
	VMOVUPS      (SI), Y7
	VPERMILPS    Y4, Y7, Y8
	VPERMQ       $0x08, Y8, Y8
	VMOVUPS      X8, (DI)
	VSUBPS       (R9), Y7, Y9
	VSUBPS       Y6, Y7, Y6
	VMULPS       Y14, Y9, Y9
	VMULPS       Y15, Y6, Y6
	VANDPS       Y1, Y9, Y9
	VANDPS       Y2, Y6, Y6
	VADDPS       Y6, Y9, Y9
	VADDPS       Y9, Y7, Y9
	VBLENDVPS    Y3, Y9, Y7, Y7
	VMOVUPS      Y7, (SI)
	ADDQ         $16, DI
	ADDQ         $32, SI
	ADDQ         $2, R8
	ADDQ         $32, R9
	ADDQ         $2, R10
	ADDQ         $16, R11
	ADDQ         $2, R12
	SUBQ         $2, CX
	JNZ          loop
	VZEROUPPER
	RET
