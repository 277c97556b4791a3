package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// order is a row of the ledger. The client gives it a number; Written… says which pod in which region wrote it.
type order struct {
	Sequence   int64     `json:"sequence"`
	ClientTime time.Time `json:"client_time"`
	RecordedAt time.Time `json:"recorded_at"`
	WrittenIn  string    `json:"written_in"`
	WrittenBy  string    `json:"written_by"`
}

// orderAnswer is an order, together with the region and pod that answer.
type orderAnswer struct {
	Region string `json:"region"`
	Pod    string `json:"pod"`
	order
}

type refusal struct {
	Reason string `json:"reason"`
}

// addOrders serves the ledger. Every request ends within databaseTimeout. If the database does not answer, it gets 503 with the reason.
func addOrders(mux *http.ServeMux, identity answer, database *ledger) {
	reply := func(w http.ResponseWriter, status int, o order, err error) {
		if err != nil {
			refuse(w, err)
			return
		}
		writeJSON(w, status, orderAnswer{Region: identity.Region, Pod: identity.Pod, order: o})
	}
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		o, problem := readRequest(w, r)
		if problem != "" {
			writeJSON(w, http.StatusBadRequest, refusal{problem})
			return
		}
		o.WrittenIn, o.WrittenBy = identity.Region, identity.Pod
		ctx, cancel := context.WithTimeout(r.Context(), databaseTimeout)
		defer cancel()
		err := database.record(ctx, &o)
		reply(w, http.StatusCreated, o, err)
	})
	mux.HandleFunc("GET /orders/latest", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), databaseTimeout)
		defer cancel()
		o, err := database.read(ctx, readLatest)
		reply(w, http.StatusOK, o, err)
	})
	mux.HandleFunc("GET /orders/{sequence}", func(w http.ResponseWriter, r *http.Request) {
		sequence, err := strconv.ParseInt(r.PathValue("sequence"), 10, 64)
		if err != nil {
			writeJSON(w, http.StatusBadRequest, refusal{"the sequence number of an order is a whole number"})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), databaseTimeout)
		defer cancel()
		o, err := database.read(ctx, readOrder, sequence)
		reply(w, http.StatusOK, o, err)
	})
}

// readRequest returns the order that the client wants to write, or what is wrong with the request.
func readRequest(w http.ResponseWriter, r *http.Request) (order, string) {
	var wanted struct {
		Sequence   int64     `json:"sequence"`
		ClientTime time.Time `json:"client_time"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&wanted); err != nil {
		return order{}, "an order is JSON with sequence and client_time (RFC 3339): " + err.Error()
	}
	if wanted.Sequence < 1 || wanted.ClientTime.IsZero() {
		return order{}, "an order needs a sequence from 1 up and a client_time"
	}
	return order{Sequence: wanted.Sequence, ClientTime: wanted.ClientTime}, ""
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, errNoOrder):
		status = http.StatusNotFound
	case errors.Is(err, errDuplicate):
		status = http.StatusConflict
	default:
		log.Println("shop: the database:", oneLine(err))
	}
	writeJSON(w, status, refusal{oneLine(err)})
}

// oneLine joins the lines of a connection error, which has one line for each address that was tried.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
