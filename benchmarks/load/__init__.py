"""The text endpoint under load: latency, throughput, memory over many requests, and a full queue.

::

    python -m benchmarks.load --model english
    python -m benchmarks.load --model mixed_ru --finetune squad --data DEST --requests 20000 --clients 8 --json FILE

It serves a published model as `harness serve` does, in the profile online with its text model, and
exits with 1 where the endpoint did not do what it promises: any error, a wrong answer, memory that
grows past the ceiling, a full queue that does not refuse in Triton's words.
"""
