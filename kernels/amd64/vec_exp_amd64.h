// exp(x) = 2ⁿ·exp(r) with n = round(x/ln 2), r = x - n·ln 2, in f32 with FMA.
// exp(r) = 1 + r + r²·(c2 + … + c6·r⁴), fitted by Remez' exchange to the least
// relative error on |r| ≤ ln(2)/2: 3.6e-9 with the coefficients rounded.

#define EXP_LO expTable<>+0(SB)
#define EXP_HI expTable<>+4(SB)
#define EXP_LOG2E expTable<>+8(SB)
#define EXP_MAGIC expTable<>+12(SB)
#define EXP_LN2HI expTable<>+16(SB)
#define EXP_LN2LO expTable<>+20(SB)
#define EXP_ONE expTable<>+24(SB)
#define EXP_C2 expTable<>+28(SB)
#define EXP_C3 expTable<>+32(SB)
#define EXP_C4 expTable<>+36(SB)
#define EXP_C5 expTable<>+40(SB)
#define EXP_C6 expTable<>+44(SB)
#define EXP_NEG_HI expTable<>+48(SB)
#define EXP_SIGN expTable<>+52(SB)

// At LO, n is -127, and the bits of 2ⁿ are 0; at HI it is 128, and they are Inf.
DATA expTable<>+0(SB)/4, $-88.0
DATA expTable<>+4(SB)/4, $88.9
DATA expTable<>+8(SB)/4, $0x3fb8aa3b
// 1.5·2²³: adding it rounds to a whole number, which is then in the low bits.
DATA expTable<>+12(SB)/4, $0x4b400000
DATA expTable<>+16(SB)/4, $0x3f317218
DATA expTable<>+20(SB)/4, $0xb102e308
DATA expTable<>+24(SB)/4, $0x3f800000
DATA expTable<>+28(SB)/4, $0x3efffffe
DATA expTable<>+32(SB)/4, $0x3e2aaa49
DATA expTable<>+36(SB)/4, $0x3d2aac79
DATA expTable<>+40(SB)/4, $0x3c091d10
DATA expTable<>+44(SB)/4, $0x3ab511e8
DATA expTable<>+48(SB)/4, $-88.9
DATA expTable<>+52(SB)/4, $0x80000000
GLOBL expTable<>(SB), RODATA|NOPTR, $56
