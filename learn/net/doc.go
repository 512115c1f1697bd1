// Package net defines the networks that Tandem trains and runs, each as one function over nn.Build.
package net
