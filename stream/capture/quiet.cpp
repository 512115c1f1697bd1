// OpenCV reads OPENCV_LOG_LEVEL while libraries load, before any Go code could set it; this is its setter.
#include <opencv2/core/utils/logger.hpp>

extern "C" void tandem_opencv_silence(void) {
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
}
