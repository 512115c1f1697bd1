#include "textflag.h"

// None of these fuses a product with a sum: the results are those of the Go kernels, bit for bit.

// func adamAVX2(w, d, m, v *float32, n int, c *coefficients)
TEXT ·adamAVX2(SB), NOSPLIT, $0-48
	MOVQ w+0(FP), DI
	MOVQ d+8(FP), SI
	MOVQ m+16(FP), R8
	MOVQ v+24(FP), R9
	MOVQ n+32(FP), CX
	MOVQ c+40(FP), DX
	VBROADCASTSS 0(DX), Y10  // 1-β₁
	VBROADCASTSS 4(DX), Y11  // 1-β₂
	VBROADCASTSS 8(DX), Y12  // rate
	VBROADCASTSS 12(DX), Y13 // unbias
	VBROADCASTSS 16(DX), Y14 // ε
	VBROADCASTSS 20(DX), Y15 // keep
	XORQ AX, AX

adam:
	VMOVUPS (SI)(AX*4), Y0   // g
	VMOVUPS (R8)(AX*4), Y1   // m
	VMOVUPS (R9)(AX*4), Y2   // v
	VSUBPS  Y1, Y0, Y3
	VMULPS  Y10, Y3, Y3
	VADDPS  Y3, Y1, Y1
	VMULPS  Y0, Y0, Y4
	VSUBPS  Y2, Y4, Y4
	VMULPS  Y11, Y4, Y4
	VADDPS  Y4, Y2, Y2
	VMOVUPS Y1, (R8)(AX*4)
	VMOVUPS Y2, (R9)(AX*4)
	VMULPS  Y13, Y2, Y2
	VSQRTPS Y2, Y2
	VADDPS  Y14, Y2, Y2
	VMULPS  Y12, Y1, Y1
	VDIVPS  Y2, Y1, Y1
	VMULPS  (DI)(AX*4), Y15, Y5
	VSUBPS  Y1, Y5, Y5
	VMOVUPS Y5, (DI)(AX*4)
	ADDQ    $8, AX
	CMPQ    AX, CX
	JLT     adam
	VZEROUPPER
	RET

// func momentumAVX2(w, d, v *float32, n int, c *descent)
TEXT ·momentumAVX2(SB), NOSPLIT, $0-40
	MOVQ w+0(FP), DI
	MOVQ d+8(FP), SI
	MOVQ v+16(FP), R8
	MOVQ n+24(FP), CX
	MOVQ c+32(FP), DX
	VBROADCASTSS 0(DX), Y10  // rate
	VBROADCASTSS 4(DX), Y11  // momentum
	VBROADCASTSS 8(DX), Y12  // decay
	VBROADCASTSS 12(DX), Y13 // ahead
	VBROADCASTSS 16(DX), Y14 // now
	XORQ AX, AX

momentum:
	VMOVUPS (DI)(AX*4), Y0   // w
	VMULPS  Y12, Y0, Y1
	VADDPS  (SI)(AX*4), Y1, Y1 // g + decay·w
	VMULPS  (R8)(AX*4), Y11, Y2
	VADDPS  Y1, Y2, Y2
	VMOVUPS Y2, (R8)(AX*4)
	VMULPS  Y13, Y2, Y2
	VMULPS  Y14, Y1, Y1
	VADDPS  Y1, Y2, Y2
	VMULPS  Y10, Y2, Y2
	VSUBPS  Y2, Y0, Y0
	VMOVUPS Y0, (DI)(AX*4)
	ADDQ    $8, AX
	CMPQ    AX, CX
	JLT     momentum
	VZEROUPPER
	RET

// func approachAVX2(average, values *float32, n int, keep float32)
TEXT ·approachAVX2(SB), NOSPLIT, $0-28
	MOVQ average+0(FP), DI
	MOVQ values+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS keep+24(FP), Y10
	XORQ AX, AX

approach:
	VMOVUPS (SI)(AX*4), Y0
	VMOVUPS (DI)(AX*4), Y1
	VSUBPS  Y0, Y1, Y1
	VMULPS  Y10, Y1, Y1
	VADDPS  Y1, Y0, Y0
	VMOVUPS Y0, (DI)(AX*4)
	ADDQ    $8, AX
	CMPQ    AX, CX
	JLT     approach
	VZEROUPPER
	RET

// func squaresAVX2(d *float32, n int, sum *[lanes]float64)
TEXT ·squaresAVX2(SB), NOSPLIT, $0-24
	MOVQ d+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ sum+16(FP), DX
	VMOVUPD (DX), Y0
	VMOVUPD 32(DX), Y1
	XORQ AX, AX

squares:
	VCVTPS2PD (SI)(AX*4), Y2
	VCVTPS2PD 16(SI)(AX*4), Y3
	VMULPD Y2, Y2, Y2
	VMULPD Y3, Y3, Y3
	VADDPD Y2, Y0, Y0
	VADDPD Y3, Y1, Y1
	ADDQ   $8, AX
	CMPQ   AX, CX
	JLT    squares
	VMOVUPD Y0, (DX)
	VMOVUPD Y1, 32(DX)
	VZEROUPPER
	RET
