// Package learn holds Tandem's training engine in six packages:
//
//	graph  traces a computation, differentiates it and writes it as ONNX
//	nn     parameters in flat vectors, layers, and one definition for training, inference and streaming graphs
//	net    the networks: TCN (causal, with a head for each decision lag), C2FTCN (offline, the teacher), TransformerAdapter and
//	       TCNAdapter (one stream's features to another's), DepthwiseCNN and FilterBank (image extractors, the second untrained)
//	optim  AdamW and SGD with vectorised kernels, averages, gradient clipping, learning-rate schedules
//	train  sessions, length buckets, gradient accumulation, Fit, exact resuming
//	bench  training steps beside another engine's figures
//
// ONNX Runtime executes what they write, in training as on the rigs; see docs/engine.md. From samples to models:
//
//	cfg := net.TCN{In: 512, Channels: 64, Layers: 9, Classes: 12, Lags: []int{0, 15}, Dropout: 0.3}
//	params, err := cfg.NewParams(seed)
//	err = cfg.Standardize(params, mean, std)
//	trainer, err := train.New(params, func(b *nn.Build) *graph.Tensor {
//		return cfg.Loss(b, net.Objective{Labels: 1, Smooth: 0.15})
//	}, train.Config{Clip: 5, Seed: seed})
//	defer trainer.Close()
//	result, err := train.Fit(ctx, trainer, samples, train.FitConfig{Epochs: 30, Batch: 4, Rate: 1e-3}, train.Hooks{…})
//	segmenter, err := cfg.Infer(params)            // features [1, T, 512] -> logits_lag0, logits_lag15
//	streaming, spec, err := cfg.Stream(params)     // one frame at a time, state as spec says
//
// A student starts as the teacher with params.CopyFrom and is distilled with net.Objective{Teacher: 1, Temperature: 2}.
package learn
