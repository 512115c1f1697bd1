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
	MOVQ R8, R11
	IMULQ DX, R11            // as far ahead are the rows of the next span
	SUBQ $2, R8
	SUBQ $16, CX             // where the last group begins
	XORQ AX, AX

columns:
	LEAQ (SI)(AX*1), R9
	PREFETCHT0 (R9)(R11*1)
	VPMOVZXBW (R9), Y0
	VPMULLW Y10, Y0, Y0
	VPXOR Y1, Y1, Y1
	ADDQ DX, R9
	MOVQ R8, R10
	TESTQ R10, R10
	JZ bottom

middle:
	PREFETCHT0 (R9)(R11*1)
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

// func columns3AVX2(dst *byte, sums *uint16, cols *colSpan, n int, scale float32)
TEXT ·columns3AVX2(SB), NOSPLIT, $0-36
	MOVQ dst+0(FP), DI
	MOVQ sums+8(FP), SI
	MOVQ cols+16(FP), BX
	MOVQ n+24(FP), CX
	VMOVSS scale+32(FP), X8
	MOVL $0x3f000000, AX     // ½
	VMOVD AX, X9
	VBROADCASTSS X9, X9

column:
	MOVQ 0(BX), AX           // first
	MOVQ 8(BX), R8           // n
	LEAQ (AX)(AX*2), AX
	LEAQ (SI)(AX*2), R9
	VPMOVZXWD (R9), X0
	VPBROADCASTD 16(BX), X1  // left
	VPMULLD X1, X0, X0
	VPXOR X2, X2, X2
	ADDQ $6, R9
	SUBQ $2, R8
	JLT store
	JEQ last

between:
	VPMOVZXWD (R9), X3
	VPADDD X3, X2, X2
	ADDQ $6, R9
	DECQ R8
	JNZ between

last:
	VPSLLD $8, X2, X2
	VPADDD X2, X0, X0
	VPMOVZXWD (R9), X3
	VPBROADCASTD 20(BX), X1  // right
	VPMULLD X1, X3, X3
	VPADDD X3, X0, X0

store:
	VCVTDQ2PS X0, X0
	VMULSS 24(BX), X8, X4    // scale
	VBROADCASTSS X4, X4
	VMULPS X4, X0, X0
	VADDPS X9, X0, X0
	VCVTTPS2DQ X0, X0
	VPACKUSDW X0, X0, X0
	VPACKUSWB X0, X0, X0
	VPEXTRW $0, X0, (DI)
	VPEXTRB $2, X0, 2(DI)
	ADDQ $3, DI
	ADDQ $32, BX
	DECQ CX
	JNZ column
	VZEROUPPER
	RET
