// Rows that reach the client while the query still runs, in the two ways that Go's client for Lambda has.
//
// The name of the handler chooses: url or reader.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdaurl"
	"github.com/go-sql-driver/mysql"
)

var db *sql.DB

func main() {
	db = open()
	switch handler := os.Getenv("_HANDLER"); handler {
	case "url":
		lambdaurl.Start(http.HandlerFunc(serve))
	case "reader":
		lambda.Start(read)
	default:
		log.Fatalf("there is no handler %q: choose url or reader", handler)
	}
}

// serve is an ordinary handler of net/http, for a function URL whose mode is RESPONSE_STREAM.
func serve(w http.ResponseWriter, r *http.Request) {
	rows, err := strconv.Atoi(r.URL.Query().Get("rows"))
	if err != nil || rows < 1 || rows > most {
		http.Error(w, fmt.Sprintf("say how many, up to %d: ?rows=3", most), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/csv")
	if err := write(r.Context(), w, rows); err != nil {
		// The head is on its way, and lambdaurl has no way to break off.
		log.Print(err)
	}
}

type event struct {
	Rows int `json:"rows"`
	Fail int `json:"fail"` // after so many rows
}

// read answers before the first row is there: what is returned is read while it is made.
func read(ctx context.Context, in event) (io.Reader, error) {
	reader, writer := io.Pipe()
	go func() {
		if in.Fail > 0 {
			err := write(ctx, writer, in.Fail)
			if err == nil {
				err = fmt.Errorf("no more than %d of %d rows", in.Fail, in.Rows)
			}
			writer.CloseWithError(err)
			return
		}
		writer.CloseWithError(write(ctx, writer, in.Rows))
	}()
	return reader, nil
}

// Servers end a recursion after a thousand rounds, one with an error, the other without.
const most = 1000

const query = `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
SELECT n, CONNECTION_ID() FROM numbers`

// write holds a connection until the last row is with the client: a slow one makes the query wait.
func write(ctx context.Context, w io.Writer, count int) error {
	rows, err := db.QueryContext(ctx, query, count)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var number, session int64
		if err := rows.Scan(&number, &session); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%d,%d\n", number, session); err != nil {
			return err
		}
	}
	return rows.Err()
}

func open() *sql.DB {
	config := mysql.NewConfig()
	config.Net = "tcp"
	config.Addr = os.Getenv("DB_HOST") + ":" + os.Getenv("DB_PORT")
	config.User = os.Getenv("DB_USER")
	config.Passwd = os.Getenv("DB_PASSWORD")
	config.DBName = os.Getenv("DB_NAME")
	db, err := sql.Open("mysql", config.FormatDSN())
	if err != nil {
		log.Fatal(err)
	}
	return db
}
