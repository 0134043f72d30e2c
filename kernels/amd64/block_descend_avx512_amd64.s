//go:build amd64 && !noasm

#include "go_asm.h"
#include "textflag.h"
#include "block_descend_amd64.h"
#include "block_descend_avx512_amd64.h"

// For each mask {p, q}, where the four values come from: m is p's of mask m,
// 8+m is q's, 16 is zero.
DATA pairPlace<>+0x00(SB)/8, $0x0000000800000000
DATA pairPlace<>+0x08(SB)/8, $0x0000001000000010
DATA pairPlace<>+0x10(SB)/8, $0x0000001000000001
DATA pairPlace<>+0x18(SB)/8, $0x0000001000000009
DATA pairPlace<>+0x20(SB)/8, $0x0000001000000002
DATA pairPlace<>+0x28(SB)/8, $0x0000000a00000010
DATA pairPlace<>+0x30(SB)/8, $0x0000000300000010
DATA pairPlace<>+0x38(SB)/8, $0x000000100000000b
DATA pairPlace<>+0x40(SB)/8, $0x0000000400000010
DATA pairPlace<>+0x48(SB)/8, $0x0000000c00000010
DATA pairPlace<>+0x50(SB)/8, $0x0000001000000010
DATA pairPlace<>+0x58(SB)/8, $0x0000000d00000005
GLOBL pairPlace<>(SB), RODATA|NOPTR, $96

// Two rows go together, one in the lower half of the registers and one in the
// upper. For each mask {p, q}, where the four values of the lower row come from:
// m is p's of mask m, 16+m is q's, the sign is missing where there is none;
// from 96 on the same for the upper row.
DATA rowsPlace<>+0x00(SB)/8, $0x8000001080000000
DATA rowsPlace<>+0x08(SB)/8, $0x0000000000000000
DATA rowsPlace<>+0x10(SB)/8, $0x0000000080000001
DATA rowsPlace<>+0x18(SB)/8, $0x0000000080000011
DATA rowsPlace<>+0x20(SB)/8, $0x0000000080000002
DATA rowsPlace<>+0x28(SB)/8, $0x8000001200000000
DATA rowsPlace<>+0x30(SB)/8, $0x8000000300000000
DATA rowsPlace<>+0x38(SB)/8, $0x0000000080000013
DATA rowsPlace<>+0x40(SB)/8, $0x8000000400000000
DATA rowsPlace<>+0x48(SB)/8, $0x8000001400000000
DATA rowsPlace<>+0x50(SB)/8, $0x0000000000000000
DATA rowsPlace<>+0x58(SB)/8, $0x8000001580000005
DATA rowsPlace<>+0x60(SB)/8, $0x8000001880000008
DATA rowsPlace<>+0x68(SB)/8, $0x0000000000000000
DATA rowsPlace<>+0x70(SB)/8, $0x0000000080000009
DATA rowsPlace<>+0x78(SB)/8, $0x0000000080000019
DATA rowsPlace<>+0x80(SB)/8, $0x000000008000000a
DATA rowsPlace<>+0x88(SB)/8, $0x8000001a00000000
DATA rowsPlace<>+0x90(SB)/8, $0x8000000b00000000
DATA rowsPlace<>+0x98(SB)/8, $0x000000008000001b
DATA rowsPlace<>+0xa0(SB)/8, $0x8000000c00000000
DATA rowsPlace<>+0xa8(SB)/8, $0x8000001c00000000
DATA rowsPlace<>+0xb0(SB)/8, $0x0000000000000000
DATA rowsPlace<>+0xb8(SB)/8, $0x8000001d8000000d
GLOBL rowsPlace<>(SB), RODATA|NOPTR, $192

// pairP and pairQ for both halves.
DATA rowsP<>+0x00(SB)/8, $0x0000000000000000
DATA rowsP<>+0x08(SB)/8, $0x0000000100000000
DATA rowsP<>+0x10(SB)/8, $0x0000000200000001
DATA rowsP<>+0x18(SB)/8, $0x0000000200000002
DATA rowsP<>+0x20(SB)/8, $0x0000000800000008
DATA rowsP<>+0x28(SB)/8, $0x0000000900000008
DATA rowsP<>+0x30(SB)/8, $0x0000000a00000009
DATA rowsP<>+0x38(SB)/8, $0x0000000a0000000a
GLOBL rowsP<>(SB), RODATA|NOPTR, $64
DATA rowsQ<>+0x00(SB)/8, $0x0000000200000001
DATA rowsQ<>+0x08(SB)/8, $0x0000000200000003
DATA rowsQ<>+0x10(SB)/8, $0x0000000300000003
DATA rowsQ<>+0x18(SB)/8, $0x0000000300000003
DATA rowsQ<>+0x20(SB)/8, $0x0000000a00000009
DATA rowsQ<>+0x28(SB)/8, $0x0000000a0000000b
DATA rowsQ<>+0x30(SB)/8, $0x0000000b0000000b
DATA rowsQ<>+0x38(SB)/8, $0x0000000b0000000b
GLOBL rowsQ<>(SB), RODATA|NOPTR, $64

// Of two or three rows, one part chooses while the other's changes to the group
// before are carried, and then the other way round. With four it is faster to
// load gb once for all.

// func descendRow1AVX512(r *DescendRow, ld, cols int)
TEXT ·descendRow1AVX512(SB), NOSPLIT, $0-24
	MOVQ r+0(FP), AX
	MOVQ DescendRow_Block(AX), DI
	MOVQ ld+8(FP), R8
	MOVQ cols+16(FP), BX
	START
	VMOVUPS PART_H(DI), X27

group:
	NEXT
	GROUP(DI, X27, Y27, Z11, Z12, Z13, Z14)
	NOW

carry1:
	ROWS
	CARRY(DI, Z11, Z12, Z13, Z14)
	ADDQ $64, CX
	CMPQ CX, BX
	JNE  carry1

	LEAQ (SI)(R8*4), SI
	ADDQ $96, DX
	ADDQ $16, AX
	CMPQ AX, BX
	JNE  group
	VZEROUPPER
	RET

// func descendRow2AVX512(r, q *DescendRow, ld, cols int)
TEXT ·descendRow2AVX512(SB), NOSPLIT, $0-32
	MOVQ q+8(FP), AX
	MOVQ DescendRow_Block(AX), R11
	MOVQ r+0(FP), AX
	MOVQ DescendRow_Block(AX), DI
	MOVQ ld+16(FP), R8
	MOVQ cols+24(FP), BX
	START
	VMOVUPS PART_H(DI), X27
	VMOVUPS PART_H(R11), X28

group:
	CMPQ AX, BX
	JEQ  before
	NEXT
	GROUP(DI, X27, Y27, Z11, Z12, Z13, Z14)
	TESTQ AX, AX
	JEQ   second

before:
	BEFORE

carry2:
	ROWS
	CARRY(R11, Z19, Z20, Z21, Z22)
	ADDQ $64, CX
	CMPQ CX, BX
	JNE  carry2

	CMPQ AX, BX
	JEQ  done

second:
	GROUP(R11, X28, Y28, Z19, Z20, Z21, Z22)
	NOW

carry1:
	ROWS
	CARRY(DI, Z11, Z12, Z13, Z14)
	ADDQ $64, CX
	CMPQ CX, BX
	JNE  carry1

	LEAQ (SI)(R8*4), SI
	ADDQ $96, DX
	ADDQ $16, AX
	JMP  group

done:
	VZEROUPPER
	RET

// func descendRow3AVX512(r, q, u *DescendRow, ld, cols int)
TEXT ·descendRow3AVX512(SB), NOSPLIT, $0-40
	MOVQ u+16(FP), AX
	MOVQ DescendRow_Block(AX), R12
	MOVQ q+8(FP), AX
	MOVQ DescendRow_Block(AX), R11
	MOVQ r+0(FP), AX
	MOVQ DescendRow_Block(AX), DI
	MOVQ ld+24(FP), R8
	MOVQ cols+32(FP), BX
	START
	FIRST(DI, R11, Z27, X27)
	VMOVUPS PART_H(R12), X28

group:
	CMPQ AX, BX
	JEQ  before
	NEXT
	GROUPS(DI, R11, Z27, X27, Z11, Z12, Z13, Z14, Z15, Z16, Z17, Z18)
	TESTQ AX, AX
	JEQ   second

before:
	BEFORE

carry2:
	ROWS
	CARRY(R12, Z19, Z20, Z21, Z22)
	ADDQ $64, CX
	CMPQ CX, BX
	JNE  carry2

	CMPQ AX, BX
	JEQ  done

second:
	GROUP(R12, X28, Y28, Z19, Z20, Z21, Z22)
	NOW

carry1:
	ROWS
	CARRY(DI, Z11, Z12, Z13, Z14)
	CARRY(R11, Z15, Z16, Z17, Z18)
	ADDQ $64, CX
	CMPQ CX, BX
	JNE  carry1

	LEAQ (SI)(R8*4), SI
	ADDQ $96, DX
	ADDQ $16, AX
	JMP  group

done:
	VZEROUPPER
	RET

// func descendRow4AVX512(r, q, u, v *DescendRow, ld, cols int)
TEXT ·descendRow4AVX512(SB), NOSPLIT, $0-48
	MOVQ v+24(FP), AX
	MOVQ DescendRow_Block(AX), R13
	MOVQ u+16(FP), AX
	MOVQ DescendRow_Block(AX), R12
	MOVQ q+8(FP), AX
	MOVQ DescendRow_Block(AX), R11
	MOVQ r+0(FP), AX
	MOVQ DescendRow_Block(AX), DI
	MOVQ ld+32(FP), R8
	MOVQ cols+40(FP), BX
	START
	FIRST(DI, R11, Z27, X27)
	FIRST(R12, R13, Z28, X28)

group:
	NEXT
	GROUPS(DI, R11, Z27, X27, Z11, Z12, Z13, Z14, Z15, Z16, Z17, Z18)
	GROUPS(R12, R13, Z28, X28, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26)
	NOW

carry:
	ROWS
	CARRY(DI, Z11, Z12, Z13, Z14)
	CARRY(R11, Z15, Z16, Z17, Z18)
	CARRY(R12, Z19, Z20, Z21, Z22)
	CARRY(R13, Z23, Z24, Z25, Z26)
	ADDQ $64, CX
	CMPQ CX, BX
	JNE  carry

	LEAQ (SI)(R8*4), SI
	ADDQ $96, DX
	ADDQ $16, AX
	CMPQ AX, BX
	JNE  group
	VZEROUPPER
	RET
