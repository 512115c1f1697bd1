package capture

// void tandem_opencv_silence(void);
import "C"

import "os"

// OpenCV and FFmpeg write to stderr as they please, in the middle of progress bars and logs, about things that this
// package reports as errors or counts. They are silenced unless the user asks to hear them by setting OPENCV_LOG_LEVEL
// (for example WARNING: what a GStreamer pipeline lacks) or OPENCV_FFMPEG_LOGLEVEL (16 errors, 24 warnings, 48 debug).
// FFmpeg's level is read at the first use of its backend, by a reader or a writer, so this can't wait for Open.
func init() {
	if os.Getenv("OPENCV_LOG_LEVEL") == "" {
		C.tandem_opencv_silence()
	}
	if os.Getenv("OPENCV_FFMPEG_LOGLEVEL") == "" && os.Getenv("OPENCV_FFMPEG_DEBUG") == "" {
		// -8 is AV_LOG_QUIET. Without the variable the worst case is noise, so an error here changes nothing.
		_ = os.Setenv("OPENCV_FFMPEG_LOGLEVEL", "-8")
	}
}
