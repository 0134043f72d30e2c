//go:build amd64 && !noasm

#include "textflag.h"

DATA adamConstants<>+0(SB)/4, $0xc0000000 // -2
DATA adamConstants<>+4(SB)/4, $0x3dcccccd // 0.1 = 1 - beta1
DATA adamConstants<>+8(SB)/4, $0x3a83126f // 0.001 = 1 - beta2
DATA adamConstants<>+12(SB)/4, $0x322bcc77 // 1e-8
GLOBL adamConstants<>(SB), RODATA|NOPTR, $16

// Bits of the places that each of the six masks keeps.
DATA adamKept<>+0x00(SB)/8, $0x0000000500000003
DATA adamKept<>+0x08(SB)/8, $0x0000000600000009
DATA adamKept<>+0x10(SB)/8, $0x0000000c0000000a
DATA adamKept<>+0x18(SB)/8, $0
GLOBL adamKept<>(SB), RODATA|NOPTR, $32

// The bit of each of four places.
DATA adamPlace<>+0x00(SB)/8, $0x0000000200000001
DATA adamPlace<>+0x08(SB)/8, $0x0000000800000004
GLOBL adamPlace<>(SB), RODATA|NOPTR, $16

// The group of each of 32 places.
DATA adamGroup<>+0x00(SB)/8, $0x0000000000000000
DATA adamGroup<>+0x08(SB)/8, $0x0000000000000000
DATA adamGroup<>+0x10(SB)/8, $0x0000000100000001
DATA adamGroup<>+0x18(SB)/8, $0x0000000100000001
DATA adamGroup<>+0x20(SB)/8, $0x0000000200000002
DATA adamGroup<>+0x28(SB)/8, $0x0000000200000002
DATA adamGroup<>+0x30(SB)/8, $0x0000000300000003
DATA adamGroup<>+0x38(SB)/8, $0x0000000300000003
DATA adamGroup<>+0x40(SB)/8, $0x0000000400000004
DATA adamGroup<>+0x48(SB)/8, $0x0000000400000004
DATA adamGroup<>+0x50(SB)/8, $0x0000000500000005
DATA adamGroup<>+0x58(SB)/8, $0x0000000500000005
DATA adamGroup<>+0x60(SB)/8, $0x0000000600000006
DATA adamGroup<>+0x68(SB)/8, $0x0000000600000006
DATA adamGroup<>+0x70(SB)/8, $0x0000000700000007
DATA adamGroup<>+0x78(SB)/8, $0x0000000700000007
GLOBL adamGroup<>(SB), RODATA|NOPTR, $128

// MOMENTS steps the moments of 16 elements, of which kept has those that are
// kept, and leaves their moments and values in the lower halves of m, v and x.
#define MOMENTS(at, kept, m, v, x) \
	VMULPS.Z    at(SI), Z20, kept, Z4 \
	VMOVUPS     at(R8), m             \
	VMOVUPS     at(R9), v             \
	VSUBPS      m, Z4, Z5             \
	VMULPS      Z21, Z5, Z5           \
	VMULPS      Z4, Z4, Z6            \
	VADDPS      Z5, m, m              \
	VSUBPS      v, Z6, Z6             \
	VMULPS      Z22, Z6, Z6           \
	VADDPS      Z6, v, v              \
	VMOVUPS     m, at(R8)             \
	VMOVUPS     v, at(R9)             \
	VMOVUPS     at(DI), x             \
	VCOMPRESSPS m, kept, m            \
	VCOMPRESSPS v, kept, v            \
	VCOMPRESSPS x, kept, x

// func AdamKeptAVX512(x *float32, mask *uint8, down, first, second *float32, groups int, rate, scale float32)
TEXT ·AdamKeptAVX512(SB), NOSPLIT, $0-56
	MOVQ            x+0(FP), DI
	MOVQ            mask+8(FP), R10
	MOVQ            down+16(FP), SI
	MOVQ            first+24(FP), R8
	MOVQ            second+32(FP), R9
	MOVQ            groups+40(FP), CX
	VBROADCASTSS    rate+48(FP), Z18
	VBROADCASTSS    scale+52(FP), Z19
	VBROADCASTSS    adamConstants<>+0(SB), Z20
	VBROADCASTSS    adamConstants<>+4(SB), Z21
	VBROADCASTSS    adamConstants<>+8(SB), Z22
	VBROADCASTSS    adamConstants<>+12(SB), Z23
	VMOVDQU32       adamKept<>(SB), Y24
	VBROADCASTI32X4 adamPlace<>(SB), Z25
	VMOVDQU32       adamGroup<>+0(SB), Z26
	VMOVDQU32       adamGroup<>+64(SB), Z27

loop: // the kept halves of 32 elements fill a register
	VPMOVZXBD     (R10), Y0
	VPERMD        Z0, Z26, Z1
	VPERMD        Z0, Z27, Z2
	VPERMD        Z24, Z1, Z1
	VPERMD        Z24, Z2, Z2
	VPTESTMD      Z25, Z1, K1
	VPTESTMD      Z25, Z2, K2
	MOMENTS(0, K1, Z10, Z11, Z12)
	MOMENTS(64, K2, Z13, Z14, Z15)
	VINSERTF64X4  $1, Y13, Z10, Z10
	VINSERTF64X4  $1, Y14, Z11, Z11
	VINSERTF64X4  $1, Y15, Z12, Z12
	VMULPS        Z19, Z11, Z11
	VSQRTPS       Z11, Z11
	VADDPS        Z23, Z11, Z11
	VMULPS        Z18, Z10, Z10
	VDIVPS        Z11, Z10, Z10
	VSUBPS        Z10, Z12, Z12
	VEXTRACTF64X4 $1, Z12, Y13
	VEXPANDPS.Z   Z12, K1, Z12
	VEXPANDPS.Z   Z13, K2, Z13
	VMOVUPS       Z12, (DI)
	VMOVUPS       Z13, 64(DI)
	ADDQ          $8, R10
	ADDQ          $128, DI
	ADDQ          $128, SI
	ADDQ          $128, R8
	ADDQ          $128, R9
	SUBQ          $8, CX
	JNZ           loop
	VZEROUPPER
	RET

DATA absSums<>+0(SB)/8, $0x7fffffffffffffff
GLOBL absSums<>(SB), RODATA|NOPTR, $8

// NEXT adds 8 elements of x.
#define NEXT(at) \
	VCVTPS2PD at(SI), Z2  \
	VPANDQ    Z2, Z4, Z2  \
	VADDPD    Z2, Z0, Z0

// func AbsSumsAVX512(sums *float64, x *float32, chunks int)
TEXT ·AbsSumsAVX512(SB), NOSPLIT, $0-24
	MOVQ         sums+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         chunks+16(FP), CX
	VBROADCASTSD absSums<>(SB), Z4

loop:
	VPXORQ        Z0, Z0, Z0
	NEXT(0)
	NEXT(32)
	NEXT(64)
	NEXT(96)
	NEXT(128)
	NEXT(160)
	NEXT(192)
	NEXT(224)
	VEXTRACTF64X4 $1, Z0, Y1
	VADDPD        Y1, Y0, Y0
	VEXTRACTF128  $1, Y0, X1
	VADDPD        X1, X0, X0
	VUNPCKHPD     X0, X0, X1
	VADDSD        X1, X0, X0
	VMOVSD        X0, (DI)
	ADDQ          $256, SI
	ADDQ          $8, DI
	DECQ          CX
	JNZ           loop
	VZEROUPPER
	RET
