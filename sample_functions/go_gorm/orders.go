package main

import (
	"context"
	"time"

	"gorm.io/gorm"
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

// Order is a row of the table orders; the server fills in when it was placed.
type Order struct {
	ID     int64
	Item   string
	Pieces int
}

// Not by AutoMigrate: the samples in other languages use the same table.
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

func serve(ctx context.Context, db *gorm.DB, in event) (*answer, error) {
	count++
	db = db.WithContext(ctx)
	if !tableMade {
		if err := db.Exec(table).Error; err != nil {
			return nil, err
		}
		tableMade = true
	}
	if in.Show {
		return show(db)
	}
	return order(db, in)
}

func show(db *gorm.DB) (*answer, error) {
	var out answer
	if err := db.Raw("SELECT COUNT(*) AS orders, CONNECTION_ID() AS session FROM orders").Scan(&out).Error; err != nil {
		return nil, err
	}
	out.Count = count // not before Scan, which begins with an empty value
	return &out, nil
}

func order(db *gorm.DB, in event) (*answer, error) {
	if in.Item == "" {
		in.Item, in.Pieces = "tea", 1
	}
	out := answer{Count: count}
	err := db.Transaction(func(tx *gorm.DB) error {
		row := Order{Item: in.Item, Pieces: in.Pieces}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		out.Order = row.ID
		if err := tx.Raw("SELECT CONNECTION_ID()").Scan(&out.Session).Error; err != nil {
			return err
		}
		time.Sleep(time.Duration(in.Hold * float64(time.Second)))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}
