package ort

import (
	"errors"

	onnx "github.com/yalue/onnxruntime_go"
)

// Execution providers by the names that configurations use.
const (
	TensorRT = "tensorrt" // NVIDIA GPU, compiled engines
	CUDA     = "cuda"     // NVIDIA GPU
	OpenVINO = "openvino" // Intel CPU, GPU, NPU
	CoreML   = "coreml"   // Apple
	QNN      = "qnn"      // Qualcomm NPU
	XNNPACK  = "xnnpack"  // ARM and x86 CPU
	CPU      = "cpu"
)

// ErrProvider is wrapped by errors of an execution provider that is unknown or cannot be had.
var ErrProvider = errors.New("execution provider")

// Providers lists the execution providers that can be asked for, fastest hardware first. A bundled ONNX Runtime for the
// CPU has only the last; the others need a build that holds them.
func Providers() []string {
	return []string{TensorRT, CUDA, OpenVINO, CoreML, QNN, XNNPACK, CPU}
}

// appendProvider asks the session for a provider. The CPU is always there and takes no options.
func appendProvider(so *onnx.SessionOptions, provider string, options map[string]string) error {
	switch provider {
	case CPU:
		return nil
	case CUDA:
		o, err := onnx.NewCUDAProviderOptions()
		if err != nil {
			return err
		}
		defer func() { _ = o.Destroy() }() // copied by the session options
		if err := o.Update(options); err != nil {
			return err
		}
		return so.AppendExecutionProviderCUDA(o)
	case TensorRT:
		o, err := onnx.NewTensorRTProviderOptions()
		if err != nil {
			return err
		}
		defer func() { _ = o.Destroy() }() // copied by the session options
		if err := o.Update(options); err != nil {
			return err
		}
		return so.AppendExecutionProviderTensorRT(o)
	case OpenVINO:
		return so.AppendExecutionProviderOpenVINO(options)
	case CoreML:
		return so.AppendExecutionProviderCoreMLV2(options)
	case QNN:
		return so.AppendExecutionProvider("QNN", options)
	case XNNPACK:
		return so.AppendExecutionProvider("XNNPACK", options)
	}
	return errors.New("unknown") // Options.check knows the same names
}
