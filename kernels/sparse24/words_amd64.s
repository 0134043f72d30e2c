//go:build amd64 && !noasm

#include "textflag.h"

// Of each nibble the position and the mask, 0x80 where it has other than two bits.
DATA positionOf<>+0(SB)/8, $0x8009088004808080
DATA positionOf<>+8(SB)/8, $0x8080800e800d0c80
GLOBL positionOf<>(SB), RODATA|NOPTR, $16

DATA maskOf<>+0(SB)/8, $0x8003018000808080
DATA maskOf<>+8(SB)/8, $0x8080800580040280
GLOBL maskOf<>(SB), RODATA|NOPTR, $16

// The positions of masks.
DATA positionOfMask<>+0(SB)/8, $0x00000e0d090c0804
DATA positionOfMask<>+8(SB)/8, $0
GLOBL positionOfMask<>(SB), RODATA|NOPTR, $16

// TABLE has the table in both halves of Y15, and the low halves of bytes in Y14.
#define TABLE(of) \
	VBROADCASTI128 of<>(SB), Y15  \
	MOVL           $0x0f, AX      \
	VMOVD          AX, X14        \
	VPBROADCASTB   X14, Y14       \
	XORQ           AX, AX

// LOOK makes Y0 what the table says of the low halves of 32 bytes, and Y1 of the
// high ones. It leaves where one is not there.
#define LOOK(bad) \
	VMOVDQU   (SI)(AX*1), Y0  \
	VPSRLW    $4, Y0, Y1      \
	VPAND     Y14, Y0, Y0     \
	VPAND     Y14, Y1, Y1     \
	VPSHUFB   Y0, Y15, Y0     \
	VPSHUFB   Y1, Y15, Y1     \
	VPOR      Y1, Y0, Y2      \
	VPMOVMSKB Y2, DX          \
	TESTL     DX, DX          \
	JNZ       bad

// func positionsAVX2(dst *uint64, bits *uint8, n int) (done int)
TEXT ·positionsAVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ bits+8(FP), SI
	MOVQ n+16(FP), CX
	TABLE(positionOf)

loop:
	LOOK(done)
	VPSLLW  $4, Y1, Y1
	VPOR    Y1, Y0, Y0
	VMOVDQU Y0, (DI)(AX*1)
	ADDQ    $32, AX
	CMPQ    AX, CX
	JLT     loop

done:
	MOVQ AX, done+24(FP)
	VZEROUPPER
	RET

// func soundAVX2(bits *uint8, n int) (done int)
TEXT ·soundAVX2(SB), NOSPLIT, $0-24
	MOVQ bits+0(FP), SI
	MOVQ n+8(FP), CX
	TABLE(positionOf)

loop:
	LOOK(done)
	ADDQ $32, AX
	CMPQ AX, CX
	JLT  loop

done:
	MOVQ AX, done+16(FP)
	VZEROUPPER
	RET

// func masksAVX2(masks, bits *uint8, n int) (done int)
TEXT ·masksAVX2(SB), NOSPLIT, $0-32
	MOVQ masks+0(FP), DI
	MOVQ bits+8(FP), SI
	MOVQ n+16(FP), CX
	TABLE(maskOf)

loop:
	LOOK(done)
	VPUNPCKLBW   Y1, Y0, Y2
	VPUNPCKHBW   Y1, Y0, Y3
	VMOVDQU      X2, (DI)(AX*2)
	VMOVDQU      X3, 16(DI)(AX*2)
	VEXTRACTI128 $1, Y2, 32(DI)(AX*2)
	VEXTRACTI128 $1, Y3, 48(DI)(AX*2)
	ADDQ         $32, AX
	CMPQ         AX, CX
	JLT          loop

done:
	MOVQ AX, done+24(FP)
	VZEROUPPER
	RET

// func maskPositionsAVX2(dst, masks *uint8, n int)
TEXT ·maskPositionsAVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ masks+8(FP), SI
	MOVQ n+16(FP), CX
	TABLE(positionOfMask)

loop:
	VMOVDQU (SI)(AX*1), Y0
	VPSHUFB Y0, Y15, Y0
	VMOVDQU Y0, (DI)(AX*1)
	ADDQ    $32, AX
	CMPQ    AX, CX
	JLT     loop
	VZEROUPPER
	RET
