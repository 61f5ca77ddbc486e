// Package airflow is the driver of a workflow installation, Apache Airflow 3 or 2.x: what runs tasks on this side runs only while the side is active, and all of it is fenced as one tree.
// Its data is its metadata database, which is a group of its own that it depends on. DESIGN.md has the rest.
package airflow
