"""What the workflows of a stage do. Every task says outside any database when it starts and ends, so that what ran is known whatever became of the database."""

import os
import time

import psycopg2
from airflow.sdk import DAG, get_current_context, task


def tell(what):
    """Appends one line, whole or not at all."""
    context = get_current_context()
    ti = context["ti"]
    line = f"{ti.dag_id} {ti.run_id} {ti.task_id} {ti.try_number} {what} {time.time():.3f}\n"
    out = os.open(os.environ["STAGE_LINES"], os.O_WRONLY | os.O_APPEND)
    os.write(out, line.encode())
    os.close(out)
    return context


def work(name, retries=0, takes=True, reads=False):
    """A task. Its first try takes as long as the run says, each later one a second. What it reads is in the database that Airflow uses, too, and it fails while that is away."""

    @task(task_id=name, retries=retries, retry_delay=1.0)
    def run():
        context = tell("start")
        first = context["ti"].try_number == 1
        time.sleep(float(context["params"]["seconds"]) if takes and first else 1)
        if reads:
            psycopg2.connect(os.environ["STAGE_DSN"]).close()
        tell("end")

    return run()


# Twenty tasks beside each other, every second one with a retry of its own, between a first and a last one. Eight of them run at once.
with DAG("nightly", schedule=None, max_active_tasks=8, params={"seconds": 6}, is_paused_upon_creation=False):
    work("first", takes=False) >> [work(f"w{i:02}", retries=(i + 1) % 2) for i in range(1, 21)] >> work("last", takes=False)

# Two without a retry of their own and two with one, and one after all of them.
with DAG("lookup", schedule=None, params={"seconds": 6}, is_paused_upon_creation=False):
    [work(f"r{i}", retries=(i + 1) % 2, reads=True) for i in range(1, 5)] >> work("last", takes=False)

# One task each, of which a failover must not run a second, or not unasked.
for tag in ("never", "hold"):
    with DAG(tag, schedule=None, tags=[f"dr:{tag}"], params={"seconds": 6}, is_paused_upon_creation=False):
        work("once", reads=True)

# Nobody runs it: it is paused, and has to stay so.
with DAG("resting", schedule=None, params={"seconds": 1}, is_paused_upon_creation=True):
    work("once")
