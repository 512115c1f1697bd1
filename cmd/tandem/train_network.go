package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"tandem/trainer/compare"
	"tandem/trainer/method"
)

// networkOptions are the flags that describe the networks of student and teacher.
type networkOptions struct {
	student method.Network
	teacher string
	hold    string
}

func (o *networkOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.student.Kind, "network", "tcn", "network: "+strings.Join(method.NetworkKinds(), ", "))
	f.IntVar(&o.student.Channels, "channels", 0, "channels of the network (default 32 for a TCN, 256 for c2f)")
	f.IntVar(&o.student.Layers, "layers", 0, "layers of a TCN (default 6)")
	f.IntSliceVar(&o.student.Lags, "lags", nil, "how many frames late the heads of a causal network judge, ascending")
	f.StringVar(&o.teacher, "teacher-network", "", "network of the teacher (default: the student's), of the student's size if both are TCNs")
	f.StringVar(&o.hold, "hold", "0", "frames for which a student's label must last to count in scores; auto: from the exo labels; class: for each class by itself")
}

// optionFlags are the flags of how methods train.
func optionFlags(cmd *cobra.Command, o *method.Options) {
	f := cmd.Flags()
	f.IntVar(&o.Epochs, "epochs", 40, "passes over the data in each stage of a method")
	f.IntVar(&o.MinSteps, "min-steps", 0, "optimizer steps of each stage at least: few pairs are passed over more often")
	f.Float64Var(&o.Rate, "rate", 1e-3, "highest learning rate")
	f.StringVar(&o.Adapter, "adapter", "", "kind of feature adapter: "+strings.Join(method.AdapterKinds(), ", ")+` (default "tcn")`)
	f.IntVar(&o.AdapterChannels, "adapter-channels", 0, "channels of the adapter (default 32)")
	f.IntVar(&o.AdapterLayers, "adapter-layers", 0, "layers of the adapter (default 4)")
	f.BoolVar(&o.Published, "published", false, "train tas, feature and both at a constant rate and keep the last weights, as published")
}

// networks returns the student's network and the teacher's, whose Kind is "" where it is the student's.
func (o *networkOptions) networks() (student, teacher method.Network) {
	if o.teacher == "" {
		return o.student, teacher
	}
	teacher.Kind = o.teacher
	if (o.student.Kind == "c2f") == (o.teacher == "c2f") {
		teacher.Channels, teacher.Layers = o.student.Channels, o.student.Layers
	}
	if o.teacher == o.student.Kind {
		teacher.Lags = o.student.Lags
	}
	return o.student, teacher
}

// holdFrames returns the hold in frames, compare.HoldAuto or compare.HoldClass.
func (o *networkOptions) holdFrames() (int, error) {
	if o.hold == "auto" {
		return compare.HoldAuto, nil
	}
	if o.hold == "class" {
		return compare.HoldClass, nil
	}
	n, err := strconv.Atoi(o.hold)
	if err != nil || n < 0 {
		return 0, usagef("--hold is %q, expected a number of frames, auto or class", o.hold)
	}
	return n, nil
}

// words are the flags that give the same networks again.
func (o *networkOptions) words() []string {
	var list []string
	if o.student.Kind != "tcn" {
		list = append(list, "--network", o.student.Kind)
	}
	if o.student.Channels > 0 {
		list = append(list, "--channels", strconv.Itoa(o.student.Channels))
	}
	if o.student.Layers > 0 {
		list = append(list, "--layers", strconv.Itoa(o.student.Layers))
	}
	for i, lag := range o.student.Lags {
		if i == 0 {
			list = append(list, "--lags", strconv.Itoa(lag))
		} else {
			list[len(list)-1] += "," + strconv.Itoa(lag)
		}
	}
	if o.teacher != "" {
		list = append(list, "--teacher-network", o.teacher)
	}
	if o.hold != "0" {
		list = append(list, "--hold", o.hold)
	}
	return list
}
