package main

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"tandem/sync/offset"
)

// Of the figure of sync check: sizes in points, and the colours of trainer/compare/figure, which colour-blind people can tell apart.
const (
	checkWidth  = 860
	checkPanel  = 150 // height
	checkShown  = 30  // seconds of the curves that are drawn
	checkPixels = 150 // per inch
)

var (
	checkInk   = color.RGBA{0x22, 0x22, 0x22, 0xff}
	checkGrey  = color.RGBA{0x8c, 0x8c, 0x8c, 0xff}
	checkEgo   = color.RGBA{0x00, 0x72, 0xb2, 0xff}
	checkExo   = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	checkCurve = color.RGBA{0x00, 0x9e, 0x73, 0xff}
)

// plotSyncCheck draws, for each camera, both curves as they lie by the offset, and the agreement at each lag.
func plotSyncCheck(r *syncCheckReport, videos []*checkedVideo, search offset.Search, path string) error {
	canvas := vgimg.NewWith(vgimg.UseWH(checkWidth, vg.Points(float64(2*checkPanel*len(r.Cameras)))), vgimg.UseDPI(checkPixels))
	c := draw.New(canvas)
	top := c.Max.Y
	for i, cam := range r.Cameras {
		curves, err := checkCurves(cam, videos[0], videos[i+1], search)
		if err != nil {
			return fmt.Errorf("draw %s: %w", path, err)
		}
		lags, err := checkAgreement(cam)
		if err != nil {
			return fmt.Errorf("draw %s: %w", path, err)
		}
		for _, p := range []*plot.Plot{curves, lags} {
			p.Draw(draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{Min: vg.Point{X: 8, Y: top - checkPanel + 6}, Max: vg.Point{X: checkWidth - 14, Y: top - 6}}})
			top -= checkPanel
		}
	}
	var b bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(&b); err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	return writeWhole(path, b.Bytes())
}

// writeWhole writes a file that is the whole or what it was before.
func writeWhole(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".plot-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func checkPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	face := func(size float64) font.Font {
		return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size)}
	}
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font, p.Title.TextStyle.Color = face(10), checkInk
	p.Legend.TextStyle.Font, p.Legend.Top = face(8), true
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = face(9), face(8)
		a.Color, a.Tick.Color = checkGrey, checkGrey
	}
	return p
}

// checkCurves draws some of both curves, the fixed camera's shifted to where it agrees.
func checkCurves(cam syncCheckCamera, ego, exo *checkedVideo, search offset.Search) (*plot.Plot, error) {
	title := fmt.Sprintf("%s: %s", cam.Name, cam.Verdict)
	label := cam.Name
	if cam.status == exitOK || cam.status == exitShifted {
		title = fmt.Sprintf("%s: %+.0f ± %.0f ms, %s", cam.Name, cam.OffsetMS, cam.ErrorMS, cam.Verdict)
		label = fmt.Sprintf("%s, moved by %+.0f ms", cam.Name, -cam.OffsetMS)
	}
	p := checkPlot(title, "time of "+ego.name+", s", "activity")
	middle := ego.First + (ego.Last-ego.First)/2
	from, to := math.Max(0, float64(middle-ego.First)/1e9-checkShown/2), float64(middle-ego.First)/1e9+checkShown/2
	for _, one := range []struct {
		v     *checkedVideo
		shift float64
		name  string
		color color.Color
	}{{ego, 0, ego.name, checkEgo}, {exo, cam.match.Offset, label, checkExo}} {
		times, curve, err := search.Profile(one.v.Activity)
		if err != nil {
			return nil, err
		}
		var points plotter.XYs
		for i, t := range times {
			if at := float64(t-ego.First)/1e9 - one.shift; at >= from && at <= to {
				points = append(points, plotter.XY{X: at, Y: curve[i]})
			}
		}
		if len(points) == 0 {
			continue
		}
		l, err := plotter.NewLine(points)
		if err != nil {
			return nil, err
		}
		l.Width, l.Color = vg.Points(0.9), one.color
		p.Add(l)
		p.Legend.Add(one.name, l)
	}
	p.X.Min, p.X.Max = from, math.Min(to, ego.Seconds())
	return p, nil
}

// checkAgreement draws the agreement at each lag, and the offset.
func checkAgreement(cam syncCheckCamera) (*plot.Plot, error) {
	p := checkPlot("", "lag, s", "agreement")
	points := make(plotter.XYs, len(cam.match.Lags))
	low, high := math.Inf(1), math.Inf(-1)
	for i, lag := range cam.match.Lags {
		points[i] = plotter.XY{X: lag, Y: cam.match.Curve[i]}
		low, high = math.Min(low, points[i].Y), math.Max(high, points[i].Y)
	}
	l, err := plotter.NewLine(points)
	if err != nil {
		return nil, err
	}
	l.Width, l.Color = vg.Points(1.1), checkCurve
	mark, err := plotter.NewLine(plotter.XYs{{X: cam.match.Offset, Y: low}, {X: cam.match.Offset, Y: high}})
	if err != nil {
		return nil, err
	}
	mark.Width, mark.Color, mark.Dashes = vg.Points(0.8), checkGrey, []vg.Length{vg.Points(4), vg.Points(2.5)}
	p.Add(mark, l)
	return p, nil
}
