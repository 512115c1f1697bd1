package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"tandem/stream/bus"
)

// lookHub connects to the agent's hub as the agent would, and looks at what is there.
func (d *doctor) lookHub(ctx context.Context) []finding {
	urls := make([]string, len(d.cfg.NATS.URLs))
	for i, u := range d.cfg.NATS.URLs {
		urls[i] = hubAddress(u)
	}
	where := strings.Join(urls, ",")
	f := finding{Area: "hub", What: "NATS", Required: true, State: stateOK}
	c := d.cfg.NATS.Config(d.cfg.Devices()[0].Device+"-doctor", silent())
	c.Timeout = d.timeout
	began := time.Now()
	conn, err := bus.Connect(ctx, c)
	if err != nil {
		f.State, f.Found = stateMissing, oneLineOf(err)
		f.Mend = "tandem hub --store DIR --listen :4222 on the hub; from here: nats -s " + where + " rtt, nc -vz " + hostPort(urls)
		return []finding{f}
	}
	defer conn.Close()
	rtt, err := conn.NATS().RTT()
	if err != nil {
		f.State, f.Found, f.Mend = stateMissing, oneLineOf(err), "nats -s "+where+" rtt"
		return []finding{f}
	}
	nc := conn.NATS()
	f.Found = fmt.Sprintf("%s, nats-server %s, connected in %v, answers in %v", nc.ConnectedUrlRedacted(), nc.ConnectedServerVersion(),
		time.Since(began).Round(time.Millisecond), rtt.Round(10*time.Microsecond))
	list := []finding{f}
	js := finding{Area: "hub", What: "JetStream", Required: true, State: stateOK}
	account, err := conn.JetStream().AccountInfo(ctx)
	if err != nil {
		js.State, js.Found = stateMissing, oneLineOf(err)
		js.Mend = "jetstream {} in the server's configuration, or nats.domain in " + d.path + "; 'tandem hub' has it"
		return append(list, js)
	}
	js.Found = fmt.Sprintf("%d streams, %s stored", account.Streams, size(account.Store))
	return append(list, js, d.streams(ctx, conn, where))
}

// streams looks which of Tandem's streams and buckets are there.
func (d *doctor) streams(ctx context.Context, conn *bus.Conn, where string) finding {
	f := finding{Area: "hub", What: "streams", State: stateOK}
	want := []string{
		bus.StreamTeacher, bus.StreamPairs, bus.StreamSegments, bus.StreamStatus, "OBJ_" + bus.BucketBundles, "KV_" + bus.BucketAssignments,
	}
	var there, missing []string
	for _, name := range want {
		if _, err := conn.JetStream().Stream(ctx, name); err != nil {
			missing = append(missing, name)
			continue
		}
		there = append(there, name)
	}
	f.Found = strings.Join(there, ", ")
	if len(missing) > 0 {
		f.State, f.Found = stateWarn, "not there: "+strings.Join(missing, ", ")+"; the agent makes them if it may"
		f.Mend = "tandem hub init --url " + where
	}
	return f
}

// hostPort is the first server's address as nc takes it.
func hostPort(urls []string) string {
	if len(urls) == 0 {
		return "HUB 4222"
	}
	u, err := url.Parse(urls[0])
	if err != nil {
		return "HUB 4222"
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		host, port = u.Host, "4222"
	}
	return host + " " + port
}
