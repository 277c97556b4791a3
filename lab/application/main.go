// Command shop is the application that a failover moves: a small HTTP server that says which region answers.
//
// Its answer shows that a restore brought all of its configuration: GREETING from a ConfigMap (environment), a token from a Secret
// (the file TOKEN_FILE; the answer only has the start of its SHA-256), REGION and POD from the downward API.
//
// With DATABASE_HOST (and _PORT, _NAME, _CREDENTIALS: a directory with username and password; _CA: a file with the certificate authority)
// it also keeps a ledger in PostgreSQL: POST /orders answers 201 once the row is committed. DATABASE_PEER_HOST (and _PEER_PORT) is the
// other region's database, for an application whose own database may be a standby. Without DATABASE_HOST it keeps no state.
//
// With DOCUMENTS (a directory) it also keeps documents, each as a file: POST /documents answers 201 once the file is on the disk.
package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	// Less than the 30 s after which Kubernetes kills a pod that does not end.
	drainTime = 10 * time.Second
)

type answer struct {
	Region       string `json:"region"`
	Greeting     string `json:"greeting"`
	SecretSHA256 string `json:"secret_sha256"`
	Pod          string `json:"pod"`
	Time         string `json:"time"`
}

func main() {
	if err := serve(); err != nil {
		log.Fatalln("shop:", err)
	}
}

func serve() error {
	identity, err := readIdentity()
	if err != nil {
		return err
	}
	database, err := openLedger()
	if err != nil {
		return err
	}
	address := ":" + cmp.Or(os.Getenv("PORT"), "8080")
	server := &http.Server{Addr: address, Handler: routes(identity, database), ReadHeaderTimeout: 5 * time.Second}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	log.Printf("shop: pod %s in %s listens on %s", identity.Pod, identity.Region, address)
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	drain, cancelDrain := context.WithTimeout(context.Background(), drainTime)
	defer cancelDrain()
	return server.Shutdown(drain)
}

// readIdentity fails if the ConfigMap or the Secret is missing: after a restore that lost them, the pod must not become Ready.
func readIdentity() (answer, error) {
	identity := answer{Region: os.Getenv("REGION"), Greeting: os.Getenv("GREETING"), Pod: os.Getenv("POD")}
	if identity.Greeting == "" || identity.Region == "" {
		return identity, errors.New("GREETING and REGION must be set: the Deployment takes them from its ConfigMap and node")
	}
	token, err := os.ReadFile(os.Getenv("TOKEN_FILE"))
	if err != nil {
		return identity, fmt.Errorf("TOKEN_FILE must name a file of the Secret: %w", err)
	}
	sum := sha256.Sum256(token)
	identity.SecretSHA256 = hex.EncodeToString(sum[:])[:12]
	return identity, nil
}

func routes(identity answer, database *ledger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		reply := identity
		reply.Time = time.Now().UTC().Format(time.RFC3339Nano)
		writeJSON(w, http.StatusOK, reply)
	})
	// This does not check the database: a restored pod must become Ready while the database is still being promoted.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if database == nil {
			w.WriteHeader(http.StatusOK)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), databaseTimeout)
		defer cancel()
		if err := database.writable(ctx); err != nil {
			refuse(w, err)
			return
		}
		w.WriteHeader(http.StatusOK)
	})
	if database != nil {
		addOrders(mux, identity, database)
	}
	if directory := os.Getenv("DOCUMENTS"); directory != "" {
		addDocuments(mux, identity, documents{directory: directory})
	}
	return mux
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Println("shop: the client went away:", err)
	}
}
