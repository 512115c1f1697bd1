// The part of OpenCV that Tandem builds gocv against. It stands before the system's header of the same name on the
// include path, so that four -dev packages do instead of all of libopencv-dev.
#pragma once
#include <opencv2/core.hpp>
#include <opencv2/core/utility.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>
