// GROUP chooses for the group at offset AX in the parts of a block: gains of the
// six masks; of the present values, Σ 2·s·r - s·(gb·s); the change to the best
// if it gains more; r of the next group, and the change in all lanes of a to d.
//
// R15 is the next group's offset; DX this one's inverses, SI its rows of gb, R8
// and R9 the distance of one and of three rows; Z29 rowsP, Z30 rowsQ, Z31 zero.
//
// As integers, gains order as they do as floats, but for negative ones, which
// are rounding of 0.
#define GROUP(block, r, ry, a, b, c, d) \
	LEAQ         (SI)(R15*1), R14              \
	LEAQ         pairPlace<>(SB), R10          \
	VPERMPS      ry, Y29, Y1                   \
	VPERMPS      ry, Y30, Y2                   \
	VMULPS       (DX), Y1, Y3                  \
	VMULPS       64(DX), Y2, Y4                \
	VFMADD231PS  32(DX), Y2, Y3                \
	VFMADD231PS  32(DX), Y1, Y4                \
	VMULPS       Y4, Y2, Y5                    \
	VFMADD231PS  Y3, Y1, Y5                    \
	VINSERTF64X4 $1, Y4, Z3, Z3                \
	VMOVUPS      (block)(AX*1), X1             \
	VADDPS       X1, X1, X2                    \
	VFMSUB213PS  PART_K(block)(AX*1), r, X2    \
	VPERMILPS    $0x4e, X2, X4                 \
	VADDPS       X4, X2, X2                    \
	VPERMILPS    $0xb1, X2, X4                 \
	VADDPS       X4, X2, X2                    \
	VPERMQ       $0x4e, Y5, Y4                 \
	VPMAXSD      Y4, Y5, Y6                    \
	VPSHUFD      $0x4e, Y6, Y4                 \
	VPMAXSD      Y4, Y6, Y6                    \
	VPSHUFD      $0xb1, Y6, Y4                 \
	VPMAXSD      Y4, Y6, Y6                    \
	VPCMPEQD     Y5, Y6, K1                    \
	KMOVW        K1, CX                        \
	TZCNTL       CX, CX                        \
	SHLL         $4, CX                        \
	VMOVDQU32    (R10)(CX*1), X4               \
	VPERMI2PS    Z31, Z3, Z4                   \
	VCMPPS       $1, X6, X2, K2                \
	VSUBPS.Z     X1, X4, K2, X5                \
	VMOVUPS      X4, K2, (block)(AX*1)         \
	VSUBPS.Z     X2, X6, K2, X2                \
	VMOVUPS      X2, PART_K(block)(AX*1)       \
	MOVL         CX, PART_K(block)(AX*1)       \
	VMOVUPS      X5, PART_H(block)(AX*1)       \
	VMOVUPS      PART_H(block)(R15*1), r       \
	VSUBPS       PART_D(block)(R15*1), r, r    \
	VPERMILPS    $0xaa, X5, X2                 \
	VPERMILPS    $0x00, X5, X1                 \
	VPERMILPS    $0xff, X5, X3                 \
	VPERMILPS    $0x55, X5, X4                 \
	VMULPS       (R14)(R8*2), X2, X2           \
	VFNMADD231PS (R14), X1, r                  \
	VFMADD231PS  (R14)(R9*1), X3, X2           \
	VFNMADD231PS (R14)(R8*1), X4, r            \
	VSUBPS       X2, r, r                      \
	VBROADCASTSS PART_H+0(block)(AX*1), a      \
	VBROADCASTSS PART_H+4(block)(AX*1), b      \
	VBROADCASTSS PART_H+8(block)(AX*1), c      \
	VBROADCASTSS PART_H+12(block)(AX*1), d

// GROUPS is GROUP of two rows: A's r is in the lower half of r, B's in the upper.
// K3 is the place of four values in the upper half.
#define GROUPS(A, B, r, xr, a, b, c, d, e, f, g, h) \
	LEAQ            rowsPlace<>(SB), R10         \
	VBROADCASTF64X4 (DX), Z8                     \
	VBROADCASTF64X4 32(DX), Z9                   \
	VBROADCASTF64X4 64(DX), Z10                  \
	VPERMPS         r, Z29, Z1                   \
	VPERMPS         r, Z30, Z2                   \
	VMULPS          Z8, Z1, Z3                   \
	VMULPS          Z10, Z2, Z4                  \
	VFMADD231PS     Z9, Z2, Z3                   \
	VFMADD231PS     Z9, Z1, Z4                   \
	VMULPS          Z4, Z2, Z5                   \
	VFMADD231PS     Z3, Z1, Z5                   \
	VMOVUPS         (A)(AX*1), X1                \
	VBROADCASTF32X4 (B)(AX*1), K3, Z1            \
	VMOVUPS         PART_K(A)(AX*1), X0          \
	VBROADCASTF32X4 PART_K(B)(AX*1), K3, Z0      \
	VADDPS          Z1, Z1, Z2                   \
	VFMSUB213PS     Z0, r, Z2                    \
	VPERMILPS       $0x4e, Z2, Z7                \
	VADDPS          Z7, Z2, Z2                   \
	VPERMILPS       $0xb1, Z2, Z7                \
	VADDPS          Z7, Z2, Z2                   \
	VPERMQ          $0x4e, Z5, Z7                \
	VPMAXSD         Z7, Z5, Z6                   \
	VPSHUFD         $0x4e, Z6, Z7                \
	VPMAXSD         Z7, Z6, Z6                   \
	VPSHUFD         $0xb1, Z6, Z7                \
	VPMAXSD         Z7, Z6, Z6                   \
	VPCMPEQD        Z5, Z6, K1                   \
	KMOVW           K1, CX                       \
	MOVL            CX, R14                      \
	SHRL            $8, R14                      \
	TZCNTL          CX, CX                       \
	TZCNTL          R14, R14                     \
	SHLL            $4, CX                       \
	SHLL            $4, R14                      \
	VMOVDQU32       (R10)(CX*1), X7              \
	VBROADCASTI32X4 96(R10)(R14*1), K3, Z7       \
	VPMOVD2M        Z7, K4                       \
	VPERMI2PS.Z     Z4, Z3, K4, Z7               \
	VCMPPS          $1, Z6, Z2, K2               \
	VSUBPS.Z        Z1, Z7, K2, Z5               \
	VMOVAPS         Z7, K2, Z1                   \
	VSUBPS.Z        Z2, Z6, K2, Z2               \
	VMOVUPS         X1, (A)(AX*1)                \
	VEXTRACTF32X4   $2, Z1, (B)(AX*1)            \
	VMOVUPS         X2, PART_K(A)(AX*1)          \
	VEXTRACTF32X4   $2, Z2, PART_K(B)(AX*1)      \
	MOVL            CX, PART_K(A)(AX*1)          \
	MOVL            R14, PART_K(B)(AX*1)         \
	VMOVUPS         X5, PART_H(A)(AX*1)          \
	VEXTRACTF32X4   $2, Z5, PART_H(B)(AX*1)      \
	LEAQ            (SI)(R15*1), R14             \
	VMOVUPS         PART_H(A)(R15*1), xr         \
	VBROADCASTF32X4 PART_H(B)(R15*1), K3, r      \
	VMOVUPS         PART_D(A)(R15*1), X0         \
	VBROADCASTF32X4 PART_D(B)(R15*1), K3, Z0     \
	VBROADCASTF32X4 (R14), Z1                    \
	VBROADCASTF32X4 (R14)(R8*1), Z2              \
	VBROADCASTF32X4 (R14)(R8*2), Z3              \
	VBROADCASTF32X4 (R14)(R9*1), Z4              \
	VSUBPS          Z0, r, r                     \
	VPERMILPS       $0xaa, Z5, Z6                \
	VPERMILPS       $0x00, Z5, Z7                \
	VMULPS          Z3, Z6, Z6                   \
	VFNMADD231PS    Z1, Z7, r                    \
	VPERMILPS       $0xff, Z5, Z7                \
	VPERMILPS       $0x55, Z5, Z0                \
	VFMADD231PS     Z4, Z7, Z6                   \
	VFNMADD231PS    Z2, Z0, r                    \
	VSUBPS          Z6, r, r                     \
	VBROADCASTSS    PART_H+0(A)(AX*1), a         \
	VBROADCASTSS    PART_H+4(A)(AX*1), b         \
	VBROADCASTSS    PART_H+8(A)(AX*1), c         \
	VBROADCASTSS    PART_H+12(A)(AX*1), d        \
	VBROADCASTSS    PART_H+0(B)(AX*1), e         \
	VBROADCASTSS    PART_H+4(B)(AX*1), f         \
	VBROADCASTSS    PART_H+8(B)(AX*1), g         \
	VBROADCASTSS    PART_H+12(B)(AX*1), h

// ROWS loads 16 columns of four rows of gb.
#define ROWS \
	VMOVUPS (R10), Z1       \
	VMOVUPS (R10)(R8*1), Z2 \
	VMOVUPS (R10)(R8*2), Z3 \
	VMOVUPS (R10)(R9*1), Z4 \
	ADDQ    $64, R10

// CARRY adds the change times these to d, at offset CX.
#define CARRY(block, a, b, c, d) \
	VMOVUPS     PART_D(block)(CX*1), Z5 \
	VFMADD231PS Z1, a, Z5               \
	VFMADD231PS Z2, b, Z5               \
	VFMADD231PS Z3, c, Z5               \
	VFMADD231PS Z4, d, Z5               \
	VMOVUPS     Z5, PART_D(block)(CX*1)

// START wants the first of the rows in AX, their distance in R8 and cols in BX.
#define START \
	MOVQ      DescendRow_GB(AX), SI  \
	MOVQ      DescendRow_Inv(AX), DX \
	LEAQ      (R8)(R8*2), R9         \
	SHLQ      $2, BX                 \
	VMOVDQU32 rowsP<>(SB), Z29       \
	VMOVDQU32 rowsQ<>(SB), Z30       \
	VPXORQ    Z31, Z31, Z31          \
	MOVL      $0x0f00, AX            \
	KMOVW     AX, K3                 \
	XORQ      AX, AX

// FIRST is r of the first group.
#define FIRST(A, B, r, xr) \
	VMOVUPS         PART_H(A), xr    \
	VBROADCASTF32X4 PART_H(B), K3, r

// NEXT is before the group at AX; after the last, R15 is any that there is.
#define NEXT \
	XORL    CX, CX      \
	LEAQ    16(AX), R15 \
	CMPQ    R15, BX     \
	CMOVQEQ CX, R15

// NOW and BEFORE are before ROWS of the present and of the previous group.
#define NOW \
	MOVQ SI, R10 \
	XORL CX, CX

#define BEFORE \
	MOVQ SI, R10   \
	LEAQ (R8*4), CX \
	SUBQ CX, R10   \
	XORL CX, CX
