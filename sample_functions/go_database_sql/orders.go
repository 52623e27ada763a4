package main

import (
	"context"
	"database/sql"
	"time"
)

type event struct {
	Item   string  `json:"item"`
	Pieces int     `json:"pieces"`
	Hold   float64 `json:"hold"` // seconds between INSERT and COMMIT
	Show   bool    `json:"show"`
}

type answer struct {
	Order   int64  `json:"order,omitempty"`
	Orders  *int64 `json:"orders,omitempty"`
	Session int64  `json:"session"`
	Count   int    `json:"count"`
}

const table = `CREATE TABLE IF NOT EXISTS orders (
	id BIGINT PRIMARY KEY AUTO_INCREMENT,
	item VARCHAR(64) NOT NULL,
	pieces INT NOT NULL,
	placed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
)`

// What lives as long as the environment does.
var (
	count     int
	tableMade bool
)

func serve(ctx context.Context, db *sql.DB, in event) (*answer, error) {
	count++
	if !tableMade {
		if _, err := db.ExecContext(ctx, table); err != nil {
			return nil, err
		}
		tableMade = true
	}
	if in.Show {
		return show(ctx, db)
	}
	return order(ctx, db, in)
}

func show(ctx context.Context, db *sql.DB) (*answer, error) {
	out := answer{Orders: new(int64), Count: count}
	err := db.QueryRowContext(ctx, "SELECT COUNT(*), CONNECTION_ID() FROM orders").Scan(out.Orders, &out.Session)
	if err != nil {
		return nil, err
	}
	return &out, nil
}

func order(ctx context.Context, db *sql.DB, in event) (*answer, error) {
	if in.Item == "" {
		in.Item, in.Pieces = "tea", 1
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // does nothing after a commit
	result, err := tx.ExecContext(ctx, "INSERT INTO orders (item, pieces) VALUES (?, ?)", in.Item, in.Pieces)
	if err != nil {
		return nil, err
	}
	out := answer{Count: count}
	if out.Order, err = result.LastInsertId(); err != nil {
		return nil, err
	}
	if err := tx.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&out.Session); err != nil {
		return nil, err
	}
	time.Sleep(time.Duration(in.Hold * float64(time.Second)))
	if err := tx.Commit(); err != nil {
		return nil, err
	}
	return &out, nil
}
