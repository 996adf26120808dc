package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// chart is a picture of horizontal bars, readable on light and on dark pages.
type chart struct {
	title, unit, caption string
	log                  bool
	bars                 []bar
}

type bar struct {
	label            string
	kind             barKind
	value, low, high float64
	tail             float64 // a dot further right; 0 is none
	must             *bound
}

type barKind string

const (
	ours barKind = "ours"
	peer barKind = "peer"
	raw  barKind = "raw"
)

// Geometry in pixels.
const (
	chartWidth = 760
	labelWidth = 230
	valueWidth = 84
	rowHeight  = 30
	barHeight  = 18
	chartTop   = 74
	chartFoot  = 58
	plotWidth  = chartWidth - labelWidth - valueWidth - 16
)

const chartStyle = `
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.page { fill: #ffffff; stroke: #d1d9e0 } .title { font-weight: 600; font-size: 16px } .small { font-size: 11px; fill: #59636e }
.grid { stroke: #d1d9e0; stroke-width: 1 } .ours { fill: #0969da } .peer { fill: #bc4c00 } .raw { fill: #818b98 }
.span { stroke: #1f2328; stroke-width: 1.5 } .must { stroke: #d1242f; stroke-width: 2.5 } .tail { fill: #ffffff; stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .page { fill: #0d1117; stroke: #3d444d } .small { fill: #9198a1 }
.grid { stroke: #3d444d } .ours { fill: #4493f8 } .peer { fill: #db6d28 } .raw { fill: #656c76 }
.span { stroke: #e6edf3 } .must { stroke: #f85149 } .tail { fill: #0d1117; stroke: #e6edf3 }
}`

// svg draws the chart.
func (c *chart) svg() string {
	var b strings.Builder
	height := chartTop + len(c.bars)*rowHeight + chartFoot
	a := c.axis()
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		chartWidth, height, chartWidth, height, html.EscapeString(c.title+": "+c.words()))
	fmt.Fprintf(&b, "<style>%s\n</style>\n", chartStyle)
	fmt.Fprintf(&b, `<rect class="page" x="0.5" y="0.5" width="%d" height="%d" rx="6"/>`+"\n", chartWidth-1, height-1)
	fmt.Fprintf(&b, `<text class="title" x="16" y="28">%s (%s)</text>`+"\n", html.EscapeString(c.title), html.EscapeString(c.unit))
	c.legend(&b)
	foot := chartTop + len(c.bars)*rowHeight
	for _, t := range a.ticks {
		x := a.x(t)
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", x, chartTop-6, x, foot)
		fmt.Fprintf(&b, `<text class="small" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x, foot+16, figure(t))
	}
	for i := range c.bars {
		c.bars[i].draw(&b, a, chartTop+i*rowHeight)
	}
	fmt.Fprintf(&b, `<text class="small" x="16" y="%d">%s</text>`+"\n</svg>\n", height-14, html.EscapeString(c.caption))
	return b.String()
}

func (c *chart) legend(b *strings.Builder) {
	x := 16
	for _, k := range []struct {
		kind barKind
		name string
	}{{ours, "this engine"}, {peer, "other engines"}, {raw, "the database alone"}} {
		used := false
		for _, one := range c.bars {
			used = used || one.kind == k.kind
		}
		if !used {
			continue
		}
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="41" width="11" height="11" rx="2"/><text class="small" x="%d" y="51">%s</text>`+"\n", k.kind, x, x+16, k.name)
		x += 34 + 7*len(k.name)
	}
}

// words is the chart for those who do not see it.
func (c *chart) words() string {
	var all []string
	for _, one := range c.bars {
		all = append(all, fmt.Sprintf("%s %s %s", one.label, figure(one.value), c.unit))
	}
	return strings.Join(all, "; ")
}

func (one *bar) draw(b *strings.Builder, a axis, top int) {
	middle := float64(top) + barHeight/2
	fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", labelWidth-10, middle+4.5, html.EscapeString(one.label))
	from, to := a.x(a.from), a.x(one.value)
	fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n", one.kind, from, top, max(to-from, 1), barHeight)
	end := to
	if one.high > one.low {
		x1, x2 := a.x(one.low), a.x(one.high)
		fmt.Fprintf(b, `<line class="span" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", x1, middle, x2, middle)
		end = max(end, x2)
	}
	if one.tail > 0 {
		x := a.x(one.tail)
		fmt.Fprintf(b, `<line class="span" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/><circle class="tail" cx="%.1f" cy="%.1f" r="4"/>`+"\n", to, middle, x, middle, x, middle)
		end = max(end, x+4)
	}
	if one.must != nil && !one.must.AtMost {
		x := a.x(one.must.Value)
		fmt.Fprintf(b, `<line class="must" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", x, top-3, x, top+barHeight+3)
		end = max(end, x)
	}
	text := figure(one.value)
	if one.tail > 0 {
		text += " / " + figure(one.tail)
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f">%s</text>`+"\n", end+8, middle+4.5, text)
}

// axis maps values to pixels.
type axis struct {
	from, to float64
	log      bool
	ticks    []float64
}

func (a axis) x(v float64) float64 {
	share := (v - a.from) / (a.to - a.from)
	if a.log {
		share = math.Log(max(v, a.from)/a.from) / math.Log(a.to/a.from)
	}
	return labelWidth + plotWidth*share
}

func (c *chart) axis() axis {
	top, low := 0.0, math.Inf(1)
	for _, one := range c.bars {
		top = max(top, one.value, one.high, one.tail)
		low = min(low, one.value)
		if one.must != nil && !one.must.AtMost {
			top = max(top, one.must.Value)
		}
	}
	if c.log {
		a := axis{log: true, from: math.Pow(10, math.Floor(math.Log10(low)))}
		a.to = max(a.from*10, top)
		for t := a.from; t <= a.to; t *= 10 {
			a.ticks = append(a.ticks, t)
			for _, m := range []float64{2, 5} {
				if t*m <= a.to {
					a.ticks = append(a.ticks, t*m)
				}
			}
		}
		return a
	}
	step := math.Pow(10, math.Floor(math.Log10(max(top, 1e-9))))
	switch {
	case top/step < 2:
		step /= 4
	case top/step < 5:
		step /= 2
	}
	a := axis{to: max(top, 1e-9)}
	for t := 0.0; t <= top; t += step {
		a.ticks = append(a.ticks, t)
	}
	return a
}
