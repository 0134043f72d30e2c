// 32 words of ones, then 32 of zeros: what lies at vecMask+128-4n is a mask of
// the first n lanes.
DATA vecMask<>+0x00(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x08(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x10(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x18(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x20(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x28(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x30(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x38(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x40(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x48(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x50(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x58(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x60(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x68(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x70(SB)/8, $0xffffffffffffffff
DATA vecMask<>+0x78(SB)/8, $0xffffffffffffffff
GLOBL vecMask<>(SB), RODATA|NOPTR, $256
