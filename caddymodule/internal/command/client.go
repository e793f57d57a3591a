package command

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"
)

// sendTimeout is longer than an app gets by default.
const sendTimeout = 90 * time.Second

// client follows no redirect: a sender does not, and the gate has not answered. A
// site that is named by host has a certificate for it.
func (c *command) client(host string) (*http.Client, error) {
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	transport.ExpectContinueTimeout = expectTimeout
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: (&url.URL{Host: host}).Hostname(), MinVersion: tls.VersionTLS12}
	return &http.Client{
		Transport:     transport,
		Timeout:       sendTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// roots are the system's authorities and those of --cacert; nil is the system's.
func (c *command) roots() (*x509.CertPool, error) {
	if c.caFile == "" {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	certificates, err := os.ReadFile(c.caFile)
	if err != nil {
		return nil, fmt.Errorf("--cacert: %w", err)
	}
	if !roots.AppendCertsFromPEM(certificates) {
		return nil, errors.New("--cacert: the file holds no certificate in PEM")
	}
	return roots, nil
}

// maxAnswer is how much of an answer is shown.
const maxAnswer = 64 << 10

func (p *prober) ask(r *http.Request, what string) (result, error) {
	defer p.waiting("waiting for " + what)()
	resp, err := p.client.Do(r)
	if errors.Is(err, errNotRefused) {
		return result{}, nil
	}
	if err != nil {
		return result{}, p.explain(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // the status is what counts
	return result{
		Status: resp.StatusCode, ErrorID: resp.Header.Get("Webhook-Auth-Error-Id"), body: body, header: resp.Header, method: r.Method,
	}, nil
}

// explain says what to do where there was no answer.
func (p *prober) explain(err error) error {
	ports := map[string]string{"http": "80", "https": "443"}
	host := net.JoinHostPort(p.address.Hostname(), cmp.Or(p.address.Port(), ports[p.address.Scheme]))
	var unknown x509.UnknownAuthorityError
	var mismatch x509.HostnameError
	var name *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens on %s; start the server (caddy run), or correct the URL", host)
	case errors.As(err, &name):
		return fmt.Errorf("there is no host named %s; correct the URL, or reach the site by another with -H 'Host: %s'", name.Name, name.Name)
	case errors.As(err, &unknown):
		return fmt.Errorf("the certificate of %s is not trusted here; run caddy trust, or name its authority with --cacert FILE", host)
	case errors.As(err, &mismatch):
		return fmt.Errorf("the certificate of %s is for another name; write the URL with the name of the site, or add -H 'Host: NAME'", host)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s speaks HTTP; write the URL with http://", host)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%s did not answer within %v; is it an HTTP server, and does the app behind it answer?", host, sendTimeout)
	}
	return fmt.Errorf("no answer from %s: %w", host, err)
}
