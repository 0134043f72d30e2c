//go:build amd64 && !noasm

#include "textflag.h"
#include "block_mul_strip_avx512_amd64.h"

// func mulStripRowsAVX512(c *float32, ldc, op int, a *float32, stride int, b *float32, ldb, rows, inner int, ahead *float32, bytes int) (left int)
TEXT ·mulStripRowsAVX512(SB), 0, $24704-96
	PACK

tile:
	MOVQ 24(SP), AX
	CMPQ AX, $8
	JLT  done
	MOVQ 8(SP), R8
	MOVQ stride+32(FP), DI
	LEAQ (R8)(DI*1), R9
	LEAQ (R9)(DI*1), R10
	LEAQ (R10)(DI*1), R11
	LEAQ (R11)(DI*1), R12
	LEAQ (R12)(DI*1), R13
	LEAQ (R13)(DI*1), R14
	LEAQ (R14)(DI*1), R15
	MOVQ inner+64(FP), CX
	CMPQ AX, $12
	JLT  eight
	CMPQ AX, $16 // better as 8 and 8
	JEQ  eight
	SUBQ $12, AX
	MOVQ AX, 24(SP)
	LEAQ (R15)(DI*1), AX
	LEAQ (AX)(DI*1), DX
	LEAQ (DX)(DI*1), SI
	ADDQ SI, DI
	MOVQ DI, BX
	ADDQ stride+32(FP), BX
	MOVQ BX, 8(SP)
	MOVQ 0(SP), BX
	ZERO24
	SUBQ $4, CX
	JLT  few12

loop12:
	ROWS12(0)
	ROWS12(1)
	ROWS12(2)
	ROWS12(3)
	NEXT12(4)
	SUBQ $4, CX
	JGE  loop12

few12:
	ADDQ $4, CX
	JEQ  result12

one12:
	ROWS12(0)
	NEXT12(1)
	DECQ CX
	JNZ  one12

result12:
	AHEAD
	RESULT
	JNE add12
	SET12
	MOVQ DI, 16(SP)
	JMP  tile

add12:
	ADD12
	MOVQ DI, 16(SP)
	JMP  tile

eight:
	SUBQ $8, AX
	MOVQ AX, 24(SP)
	ADDQ R15, DI
	MOVQ DI, 8(SP)
	MOVQ 0(SP), BX
	ZERO16
	SUBQ $4, CX
	JLT  few8

loop8:
	ROWS8(0)
	ROWS8(1)
	ROWS8(2)
	ROWS8(3)
	NEXT8(4)
	SUBQ $4, CX
	JGE  loop8

few8:
	ADDQ $4, CX
	JEQ  result8

one8:
	ROWS8(0)
	NEXT8(1)
	DECQ CX
	JNZ  one8

result8:
	AHEAD
	RESULT
	JNE add8
	SET8
	MOVQ DI, 16(SP)
	JMP  tile

add8:
	ADD8
	MOVQ DI, 16(SP)
	JMP  tile

done:
	MOVQ AX, left+88(FP)
	VZEROUPPER
	RET

// func mulStripColumnsAVX512(c *float32, ldc, op int, a *float32, stride int, b *float32, ldb, rows, inner int, ahead *float32, bytes int) (left int)
TEXT ·mulStripColumnsAVX512(SB), 0, $24704-96
	PACK
	MOVQ stride+32(FP), R13

tile:
	MOVQ 24(SP), AX
	CMPQ AX, $8
	JLT  done
	MOVQ 8(SP), R8
	MOVQ 0(SP), BX
	MOVQ inner+64(FP), CX
	CMPQ AX, $12
	JLT  eight
	CMPQ AX, $16
	JEQ  eight
	SUBQ $12, AX
	MOVQ AX, 24(SP)
	ADDQ $48, 8(SP)
	ZERO24
	SUBQ $4, CX
	JLT  few12

loop12:
	COLUMNS12(0)
	COLUMNS12(1)
	COLUMNS12(2)
	COLUMNS12(3)
	ADDQ $512, BX
	SUBQ $4, CX
	JGE  loop12

few12:
	ADDQ $4, CX
	JEQ  result12

one12:
	COLUMNS12(0)
	ADDQ $128, BX
	DECQ CX
	JNZ  one12

result12:
	AHEAD
	RESULT
	JNE add12
	SET12
	MOVQ DI, 16(SP)
	JMP  tile

add12:
	ADD12
	MOVQ DI, 16(SP)
	JMP  tile

eight:
	SUBQ $8, AX
	MOVQ AX, 24(SP)
	ADDQ $32, 8(SP)
	ZERO16
	SUBQ $4, CX
	JLT  few8

loop8:
	COLUMNS8(0)
	COLUMNS8(1)
	COLUMNS8(2)
	COLUMNS8(3)
	ADDQ $512, BX
	SUBQ $4, CX
	JGE  loop8

few8:
	ADDQ $4, CX
	JEQ  result8

one8:
	COLUMNS8(0)
	ADDQ $128, BX
	DECQ CX
	JNZ  one8

result8:
	AHEAD
	RESULT
	JNE add8
	SET8
	MOVQ DI, 16(SP)
	JMP  tile

add8:
	ADD8
	MOVQ DI, 16(SP)
	JMP  tile

done:
	MOVQ AX, left+88(FP)
	VZEROUPPER
	RET
