package segment

// Kind tells the streams of events apart.
type Kind uint8

// Kinds of events.
const (
	Provisional Kind = iota // a first opinion, given at once; a later event may say otherwise
	Committed               // final: sent once for each segment, and the committed events of a take do not overlap
	Confirmed               // the label and the start of a Committed event that is to come: both are final already
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
	Start, End int64 // ns since the Unix epoch; End of an open event is where it has come so far
	FirstSeq   int64 // sequence number of the first sample
	LastSeq    int64 // sequence number of the last sample
	Confidence float32
	Revision   int64  // counts from 0 within a provisional segment; 0 for others
	Open       bool   // a segment that has not ended: confirmed, or the first event of a provisional one; Reason says nothing yet
	Reason     Reason // why it ended

	// Decided is the site time of the newest sample when this was decided, and DecidedSeq its number: how late the event is.
	Decided    int64
	DecidedSeq int64
	Bridged    int64 // samples inside that were lost, for which the last features stood in
	// Rushed counts the samples inside that were judged without what should have been seen after them, because the take,
	// the bundle's turn or the samples ended.
	Rushed int64
}
