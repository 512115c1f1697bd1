package bus

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"tandem/stream/wire"
)

// serverLog gives the embedded server's messages to slog and keeps the first fatal one, on which a stand-alone
// nats-server would exit.
type serverLog struct {
	log   *slog.Logger
	fatal atomic.Pointer[string]
}

func (l *serverLog) Noticef(format string, v ...any) { l.write(slog.LevelDebug, format, v) }
func (l *serverLog) Warnf(format string, v ...any)   { l.write(slog.LevelWarn, format, v) }
func (l *serverLog) Errorf(format string, v ...any)  { l.write(slog.LevelError, format, v) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}

func (l *serverLog) Fatalf(format string, v ...any) {
	text := wire.OneLine(fmt.Sprintf(format, v...))
	if !l.fatal.CompareAndSwap(nil, &text) {
		l.write(slog.LevelError, "%s", []any{text})
	}
}

func (l *serverLog) write(level slog.Level, format string, v []any) {
	ctx := context.Background()
	if l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, wire.OneLine(fmt.Sprintf(format, v...)))
	}
}
