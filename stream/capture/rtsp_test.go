package capture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"image/jpeg"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/stream/frame"
)

// rtspCamera is an RTSP server (RFC 2326) that plays numbered JPEGs (RFC 2435) inside the RTSP connection, as OpenCV
// asks for it. Each connection gets a fixed number of frames and is then closed or left silent.
type rtspCamera struct {
	t             *testing.T
	listener      net.Listener
	width, height int
	frames        int
	silent        bool

	mu    sync.Mutex
	conns []net.Conn
	wg    sync.WaitGroup
}

func (c *rtspCamera) start() string {
	c.t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(c.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	c.listener = l
	c.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.conns = append(c.conns, conn)
			c.mu.Unlock()
			c.wg.Go(func() { c.serve(conn) })
		}
	})
	c.t.Cleanup(c.stop)
	return "rtsp://operator:s3cret@" + l.Addr().String() + "/1"
}

func (c *rtspCamera) stop() {
	_ = c.listener.Close() // again is harmless
	c.mu.Lock()
	for _, conn := range c.conns {
		_ = conn.Close() // may be closed by its server
	}
	c.mu.Unlock()
	c.wg.Wait()
}

func (c *rtspCamera) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		head, err := textproto.NewReader(in).ReadLine()
		if err != nil {
			return
		}
		method, _, _ := strings.Cut(head, " ")
		header, err := textproto.NewReader(in).ReadMIMEHeader()
		if err != nil {
			return
		}
		reply := func(status, body string, lines ...string) {
			lines = append([]string{"RTSP/1.0 " + status, "CSeq: " + header.Get("CSeq"), "Session: 1", fmt.Sprint("Content-Length: ", len(body))}, lines...)
			_, _ = io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"+body) // a reader that is gone shows when reading
		}
		switch method {
		case "OPTIONS":
			reply("200 OK", "", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
		case "DESCRIBE":
			if header.Get("Authorization") == "" {
				reply("401 Unauthorized", "", `WWW-Authenticate: Basic realm="camera"`)
				continue
			}
			sdp := "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track1\r\n"
			reply("200 OK", sdp, "Content-Type: application/sdp")
		case "SETUP":
			reply("200 OK", "", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
		case "PLAY":
			reply("200 OK", "")
			for i := range c.frames {
				if c.play(conn, i) != nil {
					return
				}
			}
			if !c.silent {
				return
			}
		default:
			reply("200 OK", "")
		}
	}
}

// play sends frame i as RTP packets.
func (c *rtspCamera) play(w io.Writer, i int) error {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture8(c.width, c.height, i), nil); err != nil {
		return err
	}
	tables, scan := jpegParts(b.Bytes())
	for at, seq := 0, i*100; at < len(scan); seq++ {
		n := min(len(scan)-at, 1300)
		marker := byte(0)
		if at+n == len(scan) {
			marker = 0x80
		}
		rtp := []byte{0x80, marker | 26}
		rtp = binary.BigEndian.AppendUint16(rtp, uint16(seq))
		rtp = append(rtp, u32(uint32(i)*3000, 0x7A6B)...)
		rtp = append(rtp, u32(uint32(at))...)                        // type-specific 0, fragment offset
		rtp = append(rtp, 1, 255, byte(c.width/8), byte(c.height/8)) // 4:2:0, tables inside
		if at == 0 {
			rtp = append(rtp, u16(0, uint16(len(tables)))...)
			rtp = append(rtp, tables...)
		}
		rtp = append(rtp, scan[at:at+n]...)
		if _, err := w.Write(slicesConcat([]byte{'$', 0}, u16(uint16(len(rtp))), rtp)); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// jpegParts takes the quantisation tables and the coded picture out of a JPEG that image/jpeg wrote.
func jpegParts(b []byte) (tables, scan []byte) {
	for at := 2; at+4 <= len(b); {
		marker, size := b[at+1], int(binary.BigEndian.Uint16(b[at+2:]))
		segment := b[at+4 : at+2+size]
		switch marker {
		case 0xDB:
			for ; len(segment) >= 65; segment = segment[65:] {
				tables = append(tables, segment[1:65]...)
			}
		case 0xDA:
			return tables, b[at+2+size : len(b)-2]
		}
		at += 2 + size
	}
	return tables, nil
}

func TestRTSPCameraThatHangsUp(t *testing.T) {
	cam := &rtspCamera{t: t, width: 160, height: 120, frames: 30}
	c := mustOpen(t, Config{
		Source:      cam.start(),
		OpenTimeout: 20 * time.Second,
		ReadTimeout: 20 * time.Second,
		Overflow:    Block, // so that the test sees every frame
		Reconnect:   Reconnect{Min: time.Millisecond, Max: time.Millisecond},
	})
	readUntilBack(t, c)
}

// A camera that stays connected and sends nothing more is as lost as one that hangs up: ReadTimeout finds it.
func TestRTSPCameraThatFallsSilent(t *testing.T) {
	cam := &rtspCamera{t: t, width: 160, height: 120, frames: 30, silent: true}
	c := mustOpen(t, Config{
		Source:      cam.start(),
		OpenTimeout: 20 * time.Second,
		ReadTimeout: 500 * time.Millisecond,
		Overflow:    Block,
		Reconnect:   Reconnect{Min: time.Millisecond, Max: time.Millisecond},
	})
	readUntilBack(t, c)
}

// readUntilBack reads until frames come from a second connection.
func readUntilBack(t *testing.T, c *Capture) {
	t.Helper()
	if info := c.Info(); !info.Live || info.Backend != "FFMPEG" || strings.Contains(info.Source, "s3cret") {
		t.Errorf("%+v", info)
	}
	var last int64
	number, connections := -1, 1
	for connections < 2 {
		f, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := numberIn(t, f.Mat)
		switch {
		case n < number:
			connections++
		case n >= 30 || f.RawKind != frame.Arrival || f.Time < last || time.Since(f.When()).Abs() > time.Minute:
			t.Fatalf("frame %d shows %d: %+v", f.Index, n, f)
		}
		number, last = n, f.Time
		c.Release(f)
	}
	if st := c.Stats(); st.Disconnects < 1 || st.Reconnects < 1 || st.Read < 2 {
		t.Errorf("%+v", st)
	}
}
