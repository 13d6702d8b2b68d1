//! Tests of the clients against real brokers (`DOORBELL_TEST_AMQP` and so on say where they are) and against none.
#![cfg(test)]

mod world;

mod silence;

mod brokers;

mod inbox;

mod s3;
