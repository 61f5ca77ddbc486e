package export

import (
	"maps"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of the fields of remote write 1.0's messages, which do not change any more: prompb.WriteRequest, TimeSeries, Label and Sample.
const (
	requestSeries = 1
	seriesLabels  = 1
	seriesSamples = 2
	labelName     = 1
	labelValue    = 2
	sampleValue   = 1
	sampleAt      = 2
)

// encode makes a write request of one collection. The labels of each series are sorted by name and hold no custom one that would hide one of ours; at is in milliseconds.
func encode(batch []sample, custom map[string]string, at int64) []byte {
	var out, series, inner []byte
	for i := range batch {
		s := &batch[i]
		labels := append([]labelled{{"__name__", s.name}}, s.labels...)
		for _, name := range slices.Sorted(maps.Keys(custom)) {
			if !slices.ContainsFunc(labels, func(l labelled) bool { return l.name == name }) {
				labels = append(labels, labelled{name, custom[name]})
			}
		}
		slices.SortFunc(labels, func(a, b labelled) int { return strings.Compare(a.name, b.name) })
		series = series[:0]
		for _, l := range labels {
			if l.value == "" {
				continue // to Prometheus that is no label
			}
			inner = protowire.AppendTag(inner[:0], labelName, protowire.BytesType)
			inner = protowire.AppendString(inner, l.name)
			inner = protowire.AppendTag(inner, labelValue, protowire.BytesType)
			inner = protowire.AppendString(inner, l.value)
			series = protowire.AppendTag(series, seriesLabels, protowire.BytesType)
			series = protowire.AppendBytes(series, inner)
		}
		inner = protowire.AppendTag(inner[:0], sampleValue, protowire.Fixed64Type)
		inner = protowire.AppendFixed64(inner, math.Float64bits(s.value))
		inner = protowire.AppendTag(inner, sampleAt, protowire.VarintType)
		inner = protowire.AppendVarint(inner, uint64(at))
		series = protowire.AppendTag(series, seriesSamples, protowire.BytesType)
		series = protowire.AppendBytes(series, inner)
		out = protowire.AppendTag(out, requestSeries, protowire.BytesType)
		out = protowire.AppendBytes(out, series)
	}
	return out
}

// request is an encoded write request, as the client library takes it.
type request []byte

// Size implements the library's view of a message.
func (r request) Size() int { return len(r) }

// MarshalToSizedBuffer implements the library's view of a message.
func (r request) MarshalToSizedBuffer(to []byte) (int, error) { return copy(to, r), nil }
