package ort

// libraryNames are the file names of the library, the preferred first.
var libraryNames = []string{"libonnxruntime.1.dylib", "libonnxruntime.dylib"}
