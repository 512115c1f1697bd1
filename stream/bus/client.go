package bus

import (
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
)

// Client is how a configuration file says where the hub is.
type Client struct {
	URLs        []string `yaml:"urls"`
	Credentials string   `yaml:"credentials"` // a .creds file
	NKey        string   `yaml:"nkey"`        // a file with a seed
	TLSCert     string   `yaml:"tls_cert"`
	TLSKey      string   `yaml:"tls_key"`
	TLSCA       string   `yaml:"tls_ca"`
	Domain      string   `yaml:"domain"` // of JetStream
}

// Validate returns an error that begins with the first field that cannot be, what it holds and what was expected. It looks
// at nothing but the fields.
func (c *Client) Validate() error {
	if len(c.URLs) == 0 {
		return fmt.Errorf("urls is empty, expected the hub's address, nats://HOST:4222")
	}
	for i, text := range c.URLs {
		if !strings.Contains(text, "://") {
			text = "nats://" + text
		}
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			// What it holds is not shown: there may be a password in it.
			return fmt.Errorf("urls[%d] is not an address of a server, expected nats://HOST:4222 (or tls, ws, wss)", i)
		}
	}
	switch {
	case c.Credentials != "" && c.NKey != "":
		return fmt.Errorf("nkey is set beside nats.credentials, expected one of the two")
	case c.TLSCert != "" && c.TLSKey == "":
		return fmt.Errorf("tls_key is %q, expected the key of nats.tls_cert", c.TLSKey)
	case c.TLSCert == "" && c.TLSKey != "":
		return fmt.Errorf("tls_cert is %q, expected the certificate of nats.tls_key", c.TLSCert)
	}
	return nil
}

// Config returns what Connect takes. name identifies the connection.
func (c *Client) Config(name string, log *slog.Logger) Config {
	return Config{
		URLs: c.URLs, Name: name, Credentials: c.Credentials, NKey: c.NKey,
		TLSCert: c.TLSCert, TLSKey: c.TLSKey, TLSCA: c.TLSCA, Domain: c.Domain, Logger: log,
	}
}
