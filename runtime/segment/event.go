package segment

// Kind tells the two streams of events apart.
type Kind uint8

// Kinds of events.
const (
	Provisional Kind = iota // a first opinion, given at once; a later event may say otherwise
	Committed               // final: never revised, and the committed events of a take do not overlap
)

// Reason says why a segment ended.
type Reason uint8

// Reasons for the end of a segment.
const (
	NextLabel Reason = iota // another label follows
	Gap                     // frames were lost for longer than the segmenter bridges
	Swap                    // another bundle took over
	EndOfTake
)

// Event is a segment: a label on the half-open interval [Start, End) of site time.
type Event struct {
	Kind       Kind
	Label      int   // index into the bundle's labels
	Start, End int64 // ns since the Unix epoch; End of a provisional event is where it has come so far
	FirstSeq   int64 // sequence number of the first sample
	LastSeq    int64 // sequence number of the last sample
	Confidence float32
	Revision   int64 // counts from 0 within a provisional segment; 0 for committed ones
	Open       bool  // a provisional segment that has not ended; Reason says nothing yet
	Reason     Reason
}
