//go:build amd64 && !noasm

#include "textflag.h"

// Bits of the places that each of the six masks keeps.
DATA carryKept<>+0x00(SB)/4, $0x3
DATA carryKept<>+0x04(SB)/4, $0x5
DATA carryKept<>+0x08(SB)/4, $0x9
DATA carryKept<>+0x0c(SB)/4, $0x6
DATA carryKept<>+0x10(SB)/4, $0xa
DATA carryKept<>+0x14(SB)/4, $0xc
DATA carryKept<>+0x18(SB)/8, $0
DATA carryKept<>+0x20(SB)/8, $0
DATA carryKept<>+0x28(SB)/8, $0
DATA carryKept<>+0x30(SB)/8, $0
DATA carryKept<>+0x38(SB)/8, $0
GLOBL carryKept<>(SB), RODATA|NOPTR, $64

// The bit of each of four places.
DATA carryPlace<>+0x00(SB)/8, $0x0000000200000001
DATA carryPlace<>+0x08(SB)/8, $0x0000000800000004
GLOBL carryPlace<>(SB), RODATA|NOPTR, $16

// The group of each of 16 places.
DATA carryGroup<>+0x00(SB)/8, $0x0000000000000000
DATA carryGroup<>+0x08(SB)/8, $0x0000000000000000
DATA carryGroup<>+0x10(SB)/8, $0x0000000100000001
DATA carryGroup<>+0x18(SB)/8, $0x0000000100000001
DATA carryGroup<>+0x20(SB)/8, $0x0000000200000002
DATA carryGroup<>+0x28(SB)/8, $0x0000000200000002
DATA carryGroup<>+0x30(SB)/8, $0x0000000300000003
DATA carryGroup<>+0x38(SB)/8, $0x0000000300000003
GLOBL carryGroup<>(SB), RODATA|NOPTR, $64

// func BlockCarryAVX512(values, s *float32, mask *uint8, from *float32, maskFrom *uint8, was *float32, maskWas *uint8, groups int, beyond, momentum float32)
TEXT ·BlockCarryAVX512(SB), NOSPLIT, $0-72
	MOVQ            values+0(FP), DI
	MOVQ            s+8(FP), SI
	MOVQ            mask+16(FP), R8
	MOVQ            from+24(FP), R9
	MOVQ            maskFrom+32(FP), R10
	MOVQ            was+40(FP), R11
	MOVQ            maskWas+48(FP), R12
	MOVQ            groups+56(FP), CX
	VBROADCASTSS    beyond+64(FP), Z16
	VBROADCASTSS    momentum+68(FP), Z17
	VMOVDQU32       carryKept<>(SB), Z18
	VBROADCASTI32X4 carryPlace<>(SB), Z19
	VMOVDQU32       carryGroup<>(SB), Z20

loop:
	VPMOVZXBD    (R8), X0
	VPMOVZXBD    (R10), X1
	VPMOVZXBD    (R12), X2
	VPERMD       Z0, Z20, Z0
	VPERMD       Z1, Z20, Z1
	VPERMD       Z2, Z20, Z2
	VPERMD       Z18, Z0, Z3
	VPTESTMD     Z19, Z3, K1 // what is kept
	VPCMPEQD     Z1, Z0, K2
	VPCMPEQD     Z2, Z0, K3
	VMOVUPS      (SI), Z4
	VCOMPRESSPS  Z4, K1, Z5
	VEXPANDPS.Z  (R11), K1, Z6
	VSUBPS       (R9), Z4, Z7
	VSUBPS       Z6, Z4, Z6
	VMULPS.Z     Z16, Z7, K2, Z7
	VMULPS.Z     Z17, Z6, K3, Z6
	VMOVUPS      Y5, (DI)
	VADDPS       Z6, Z7, Z7
	VADDPS       Z7, Z4, K1, Z4
	VMOVUPS      Z4, (SI)
	ADDQ         $32, DI
	ADDQ         $64, SI
	ADDQ         $4, R8
	ADDQ         $64, R9
	ADDQ         $4, R10
	ADDQ         $32, R11
	ADDQ         $4, R12
	SUBQ         $4, CX
	JNZ          loop
	VZEROUPPER
	RET
