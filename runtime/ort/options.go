package ort

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// optionNames are the options that may be passed to each provider, by the names that ONNX Runtime 1.24 to 1.30 gives them. Options
// that hold an address in memory are left out: a configuration can't know one.
var optionNames = map[string][]string{
	TensorRT: {
		"device_id", "trt_auxiliary_streams", "trt_bf16_enable", "trt_build_heuristics_enable", "trt_builder_optimization_level",
		"trt_context_memory_sharing_enable", "trt_cuda_graph_enable", "trt_detailed_build_log", "trt_dla_core", "trt_dla_enable",
		"trt_dump_ep_context_model", "trt_dump_subgraphs", "trt_engine_cache_enable", "trt_engine_cache_path",
		"trt_engine_cache_prefix", "trt_engine_decryption_enable", "trt_engine_decryption_lib_path", "trt_engine_hw_compatible",
		"trt_ep_context_embed_mode", "trt_ep_context_file_path", "trt_extra_plugin_lib_paths", "trt_force_sequential_engine_build",
		"trt_force_timing_cache", "trt_fp16_enable", "trt_int8_calibration_table_name", "trt_int8_enable",
		"trt_int8_use_native_calibration_table", "trt_layer_norm_fp32_fallback", "trt_max_partition_iterations",
		"trt_max_workspace_size", "trt_min_subgraph_size", "trt_onnx_model_folder_path", "trt_op_types_to_exclude",
		"trt_preview_features", "trt_profile_max_shapes", "trt_profile_min_shapes", "trt_profile_opt_shapes", "trt_sparsity_enable",
		"trt_tactic_sources", "trt_timing_cache_enable", "trt_timing_cache_path", "trt_weight_stripped_engine_enable",
	},
	CUDA: {
		"arena_extend_strategy", "cudnn_conv1d_pad_to_nc1d", "cudnn_conv_algo_search", "cudnn_conv_use_max_workspace", "device_id",
		"do_copy_in_default_stream", "enable_cuda_graph", "enable_skip_layer_norm_strict_mode", "fuse_conv_bias", "gpu_mem_limit",
		"prefer_nhwc", "sdpa_kernel", "tunable_op_enable", "tunable_op_max_tuning_duration_ms", "tunable_op_tuning_enable",
		"use_ep_level_unified_stream", "use_tf32",
	},
	OpenVINO: {
		"cache_dir", "device_id", "device_luid", "device_type", "disable_dynamic_shapes", "enable_opencl_throttling", "enable_qdq_optimizer",
		"layout", "load_config", "model_priority", "num_of_threads", "num_streams", "precision", "reshape_input",
	},
	CoreML: {
		"AllowLowPrecisionAccumulationOnGPU", "EnableOnSubgraphs", "MLComputeUnits", "ModelCacheDirectory", "ModelFormat",
		"ProfileComputePlan", "RequireStaticInputShapes", "SpecializationStrategy",
	},
	QNN: {
		"backend_path", "backend_type", "device_id", "dump_json_qnn_graph", "enable_htp_fp16_precision",
		"enable_htp_shared_memory_allocator", "enable_htp_spill_fill_buffer", "enable_vtcm_backup_buffer_sharing", "extended_udma", "htp_arch",
		"htp_graph_finalization_optimization_mode", "htp_performance_mode", "json_qnn_graph_dir", "offload_graph_io_quantization",
		"op_packages", "profiling_file_path", "profiling_level", "qnn_context_priority", "qnn_saver_path", "rpc_control_latency",
		"soc_model", "vtcm_mb",
	},
	XNNPACK: {"intra_op_num_threads"},
	CPU:     nil,
}

// OptionNames lists the options that a provider takes, sorted; none for the CPU and for names that are no provider's.
func OptionNames(provider string) []string { return slices.Clone(optionNames[provider]) }

// CheckOptions returns an error that wraps ErrProvider and names the first option that a provider does not take. Some providers
// of ONNX Runtime pass over such a name without a word.
func CheckOptions(provider string, options map[string]string) error {
	known := optionNames[provider]
	for _, name := range slices.Sorted(maps.Keys(options)) {
		switch {
		case provider == CPU:
			return fmt.Errorf("%w %q: takes no options, got %s", ErrProvider, CPU, strings.Join(slices.Sorted(maps.Keys(options)), ", "))
		case !slices.Contains(known, name):
			return fmt.Errorf("%w %q: takes no option %q, expected one of %s", ErrProvider, provider, name, strings.Join(known, ", "))
		}
	}
	return nil
}
