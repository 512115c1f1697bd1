package ort

// libraryNames are the file names of the library, the preferred first.
var libraryNames = []string{"libonnxruntime.so.1", "libonnxruntime.so"}
