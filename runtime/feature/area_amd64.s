#include "textflag.h"

// func sumRowsAVX2(sums *uint16, px *byte, n, stride, rows int, top, middle, bottom uint32)
TEXT ·sumRowsAVX2(SB), NOSPLIT, $0-52
	MOVQ sums+0(FP), DI
	MOVQ px+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ stride+24(FP), DX
	MOVQ rows+32(FP), R8
	MOVL top+40(FP), AX
	VMOVD AX, X10
	VPBROADCASTW X10, Y10
	MOVL middle+44(FP), AX
	VMOVD AX, X11
	VPBROADCASTW X11, Y11
	MOVL bottom+48(FP), AX
	VMOVD AX, X12
	VPBROADCASTW X12, Y12
	SUBQ $2, R8
	SUBQ $16, CX             // where the last group begins
	XORQ AX, AX

columns:
	LEAQ (SI)(AX*1), R9
	VPMOVZXBW (R9), Y0
	VPMULLW Y10, Y0, Y0
	VPXOR Y1, Y1, Y1
	ADDQ DX, R9
	MOVQ R8, R10
	TESTQ R10, R10
	JZ bottom

middle:
	VPMOVZXBW (R9), Y2
	VPADDW Y2, Y1, Y1
	ADDQ DX, R9
	DECQ R10
	JNZ middle

bottom:
	VPMULLW Y11, Y1, Y1
	VPMOVZXBW (R9), Y3
	VPMULLW Y12, Y3, Y3
	VPADDW Y1, Y0, Y0
	VPADDW Y3, Y0, Y0
	VMOVDQU Y0, (DI)(AX*2)
	CMPQ AX, CX
	JEQ done
	ADDQ $16, AX
	CMPQ AX, CX
	JLE columns
	MOVQ CX, AX              // the last group overlaps the one before
	JMP columns

done:
	VZEROUPPER
	RET
