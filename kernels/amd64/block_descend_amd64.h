// The parts of a row's scratch, bytes from its start: see DescendRow.
#define PART_H 1024
#define PART_D 2048
#define PART_K 3072

// The places p and q of the six masks, the last of them three times.
DATA pairP<>+0x00(SB)/8, $0x0000000000000000
DATA pairP<>+0x08(SB)/8, $0x0000000100000000
DATA pairP<>+0x10(SB)/8, $0x0000000200000001
DATA pairP<>+0x18(SB)/8, $0x0000000200000002
GLOBL pairP<>(SB), RODATA|NOPTR, $32
DATA pairQ<>+0x00(SB)/8, $0x0000000200000001
DATA pairQ<>+0x08(SB)/8, $0x0000000200000003
DATA pairQ<>+0x10(SB)/8, $0x0000000300000003
DATA pairQ<>+0x18(SB)/8, $0x0000000300000003
GLOBL pairQ<>(SB), RODATA|NOPTR, $32
