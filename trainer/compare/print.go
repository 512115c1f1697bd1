package compare

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// column is one of the text table. Columns that no row has something in are left out.
type column struct {
	name string
	of   func(r Row) string
}

// Print writes the table as text.
func (t Table) Print(w io.Writer) error {
	columns := []column{
		{"method", func(r Row) string { return r.Method }},
		{"jitter", func(r Row) string { return fmt.Sprintf("%g", r.Jitter) }},
		{"pairs", func(r Row) string { return fmt.Sprintf("%g", r.Pairs) }},
		{"MoF", func(r Row) string { return r.MoF.String() }},
		{"Edit", func(r Row) string { return r.Edit.String() }},
		{"F1@10", func(r Row) string { return r.F1At10.String() }},
		{"F1@25", func(r Row) string { return r.F1At25.String() }},
		{"F1@50", func(r Row) string { return r.F1At50.String() }},
		{"gap closed", func(r Row) string { return shares(r.Gap) }},
		{"kept", func(r Row) string {
			if r.Jitter == 0 && r.Pairs == 1 {
				return ""
			}
			return shares(r.Kept)
		}},
		{"exo F1@50", func(r Row) string {
			if r.Exo == nil {
				return ""
			}
			return r.Exo.F1At50.String()
		}},
		{"offset error", func(r Row) string { return optional(r.OffsetError, "%.2f") }},
	}
	const always = 4 // the last of which says that a method is not applicable
	kept := columns[:always:always]
	for _, c := range columns[always:] {
		if slices.ContainsFunc(t.Rows, func(r Row) bool { return r.NotApplicable == "" && c.of(r) != "" }) {
			kept = append(kept, c)
		}
	}
	columns = kept
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, c := range columns {
		fmt.Fprintf(tw, "%s\t", c.name)
	}
	fmt.Fprintln(tw)
	for _, r := range t.Rows {
		for i, c := range columns {
			text := c.of(r)
			switch {
			case r.NotApplicable != "" && i == always-1:
				text = "not applicable"
			case r.NotApplicable != "" && i >= always:
				text = ""
			case text == "":
				text = "-"
			}
			fmt.Fprintf(tw, "%s\t", text)
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, t.legend())
	return err
}

// legend says what the columns mean and what is not there.
func (t Table) legend() string {
	var b strings.Builder
	var gap, kept, exo bool
	var hold float64
	told := map[string]bool{}
	for _, r := range t.Rows {
		if line := fmt.Sprintf("%s: %s\n", r.Method, r.NotApplicable); r.NotApplicable != "" && !told[line] {
			told[line] = true
			b.WriteString(line)
		}
		gap, exo = gap || r.Gap != nil, exo || r.Exo != nil
		kept = kept || (r.Kept != nil && (r.Jitter != 0 || r.Pairs != 1))
		hold = max(hold, r.Hold)
	}
	seeds := fmt.Sprintf("%d seeds from %d up: mean ± standard deviation over seeds", t.Seeds, t.FirstSeed)
	if t.Seeds == 1 {
		seeds = fmt.Sprintf("seed %d", t.FirstSeed)
	}
	fmt.Fprintf(&b, "%s, %d folds, %s, per cent\n", t.Data, len(t.Folds), seeds)
	if gap {
		b.WriteString("gap closed: of that between exo-only and ego-oracle, on MoF / Edit / F1@50\n")
	}
	if kept {
		b.WriteString("kept: of the method's own MoF / Edit / F1@50 without clock error and with all pairs\n")
	}
	if exo {
		b.WriteString("exo F1@50: the student on the exo side of the test takes\n")
	}
	if hold > 1 {
		fmt.Fprintf(&b, "students are scored after a label hold of %.3g frames, the teacher is not\n", hold)
	}
	return b.String()
}

// shares are those of MoF, Edit and F1@50.
func shares(m *Metrics[*float64]) string {
	if m == nil {
		return ""
	}
	list := []string{optional(m.MoF, "%.0f"), optional(m.Edit, "%.0f"), optional(m.F1At50, "%.0f")}
	for i := range list {
		if list[i] == "" {
			list[i] = "-"
		}
	}
	return strings.Join(list, "/")
}

func (s Spread) String() string {
	if s.SD == nil || math.IsNaN(*s.SD) {
		return fmt.Sprintf("%.1f", s.Mean)
	}
	return fmt.Sprintf("%.1f ± %.1f", s.Mean, *s.SD)
}

func optional(v *float64, format string) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf(format, *v)
}
