package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// Dimensions of the chart. Its colours are readable on white and on black, because a
// picture cannot know its background.
const (
	chartWidth, chartHeight       = 760, 380
	plotLeft, plotTop, plotBottom = 48, 64, 300
	plotRight                     = chartWidth - 16
	plotMax                       = 1.1 // the ratio of two equal sites may be slightly above 1
	barWidth, barGap              = 44, 8

	ink = "#7d8590"
)

var barColours = []string{"#2f81f7", "#a371f7"} // by protocol

// chart draws the ratios in groups by size, one bar for each protocol, with the
// bound as a line across the bar.
func chart(rates []*comparison, caption string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="system-ui, sans-serif" font-size="13">`+"\n",
		chartWidth, chartHeight, chartWidth, chartHeight)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(summary(rates)))
	text(&b, plotLeft, 22, `font-size="16" font-weight="600"`, "Deliveries per second with webhook_auth, relative to reverse_proxy alone")
	grid(&b)
	p := plot{protocols: distinct(rates, (*comparison).protocolName), sizes: distinct(rates, (*comparison).sizeName)}
	for _, c := range rates {
		bar(&b, c, p.place(c))
	}
	p.name(&b)
	legend(&b, p.protocols)
	text(&b, plotLeft, chartHeight-12, `font-size="11"`, caption)
	b.WriteString("</svg>\n")
	return b.String()
}

// summary describes the chart in words.
func summary(rates []*comparison) string {
	var parts []string
	for _, c := range rates {
		parts = append(parts, fmt.Sprintf("%s, %s: %.2f of a bound of %.2f", c.protocol, c.size.name, median(c.ratios()), c.bound()))
	}
	return "Guarded relative to plain. " + strings.Join(parts, "; ")
}

func (c *comparison) protocolName() string { return c.protocol }
func (c *comparison) sizeName() string     { return c.size.name }

func distinct(rates []*comparison, name func(*comparison) string) (names []string) {
	for _, c := range rates {
		if !slices.Contains(names, name(c)) {
			names = append(names, name(c))
		}
	}
	return names
}

// height returns how far down a ratio is drawn.
func height(ratio float64) float64 {
	return plotBottom - min(ratio, plotMax)/plotMax*(plotBottom-plotTop)
}

func grid(b *strings.Builder) {
	for _, ratio := range []float64{0, 0.25, 0.5, 0.75, 1} {
		y := height(ratio)
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="%s" stroke-opacity="0.35"/>`+"\n", plotLeft, y, plotRight, ink)
		text(b, plotLeft-8, y+4, `text-anchor="end" font-size="11"`, fmt.Sprintf("%.2f", ratio))
	}
}

// A plot knows where everything is: a group for each size, with a bar for each protocol.
type plot struct{ protocols, sizes []string }

// A spot is the place of a bar.
type spot struct {
	x      float64
	colour string
}

// middle returns the middle of a group.
func (p plot) middle(group int) float64 {
	return plotLeft + (float64(group)+0.5)*float64(plotRight-plotLeft)/float64(len(p.sizes))
}

func (p plot) place(c *comparison) spot {
	i := slices.Index(p.protocols, c.protocol)
	width := len(p.protocols)*(barWidth+barGap) - barGap
	left := p.middle(slices.Index(p.sizes, c.size.name)) - float64(width)/2
	return spot{x: left + float64(i*(barWidth+barGap)), colour: barColours[i%len(barColours)]}
}

// name writes the names of the groups below them.
func (p plot) name(b *strings.Builder) {
	for i, size := range p.sizes {
		text(b, p.middle(i), plotBottom+20, `text-anchor="middle"`, size)
	}
}

func bar(b *strings.Builder, c *comparison, at spot) {
	ratio := median(c.ratios())
	y, limit := height(ratio), height(c.bound())
	fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%d" height="%.1f" rx="2" fill="%s"/>`+"\n", at.x, y, barWidth, plotBottom-y, at.colour)
	fmt.Fprintf(b, `<path d="M%.1f %.1fh%d" stroke="#e3742f" stroke-width="3"/>`+"\n", at.x-2, limit, barWidth+4)
	text(b, at.x+barWidth/2, min(y, limit)-7, `text-anchor="middle" font-size="12"`, fmt.Sprintf("%.2f", ratio))
}

func legend(b *strings.Builder, names []string) {
	const y, step = 346, 130
	x := float64(plotLeft)
	for i, name := range names {
		fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="12" height="12" rx="2" fill="%s"/>`+"\n", x, y-11, barColours[i%len(barColours)])
		text(b, x+18, y, "", name)
		x += step
	}
	fmt.Fprintf(b, `<path d="M%.1f %dh16" stroke="#e3742f" stroke-width="3"/>`+"\n", x, y-5)
	text(b, x+22, y, "", "the bound: nothing added but a bare HMAC-SHA256")
}

func text(b *strings.Builder, x, y float64, attributes, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="%s" %s>%s</text>`+"\n", x, y, ink, attributes, html.EscapeString(s))
}
