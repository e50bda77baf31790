"""Subscribe, Unsubscribe and CommitOffset: the book of consumers, line by line, and its memory."""

import harness
import lwp


class Book(harness.SharedBroker):
    def setUp(self):
        super().setUp()
        self.topic_id = self.topic()
        self.client.ingest(b"0123456789", self.topic_id)

    def test_subscribe_at_zero_without_a_commit_starts_at_zero(self):
        self.assertEqual(self.client.subscribe(self.topic_id, 0, 1), (1, 0))

    def test_subscribe_at_zero_starts_at_the_committed_offset(self):
        self.client.commit(self.topic_id, 2, 7)
        self.assertEqual(self.client.subscribe(self.topic_id, 0, 2), (2, 7))
        with self.broker.client() as other:
            self.assertEqual(other.subscribe(self.topic_id, 0, 2), (2, 7))

    def test_subscribe_at_the_highest_offset_answers_with_the_end(self):
        self.assertEqual(self.client.subscribe(self.topic_id, lwp.END, 3), (3, 10))
        self.client.commit(self.topic_id, 3, 4)
        self.assertEqual(self.client.subscribe(self.topic_id, lwp.END, 3), (3, 10))

    def test_any_other_offset_is_taken_unchanged(self):
        self.client.commit(self.topic_id, 4, 2)
        for offset in (1, 9, 10, 11, 2**40, lwp.END - 1):
            self.assertEqual(self.client.subscribe(self.topic_id, offset, 4), (4, offset))

    def test_commits_are_unconditional_and_may_go_back(self):
        for offset in (5, 9, 3, 2**50, 0, lwp.END, 6):
            self.assertEqual(self.client.commit(self.topic_id, 5, offset), (5, offset))
        self.assertEqual(self.client.subscribe(self.topic_id, 0, 5), (5, 6))

    def test_unsubscribe_keeps_the_committed_offset_and_is_always_acked(self):
        self.assertEqual(self.client.unsubscribe(self.topic_id, 6), 6)
        self.client.subscribe(self.topic_id, 0, 6)
        self.client.commit(self.topic_id, 6, 8)
        self.assertEqual(self.client.unsubscribe(self.topic_id, 6), 6)
        self.assertEqual(self.client.unsubscribe(self.topic_id, 6), 6)
        self.assertEqual(self.client.subscribe(self.topic_id, 0, 6), (6, 8))

    def test_consumers_and_topics_are_kept_apart(self):
        other = self.topic()
        for consumer in (0, 1, 2**63, 2**64 - 1):
            self.client.commit(self.topic_id, consumer, consumer % 97 + 1)
            self.client.commit(other, consumer, consumer % 89 + 2)
        for consumer in (0, 1, 2**63, 2**64 - 1):
            self.assertEqual(self.client.subscribe(self.topic_id, 0, consumer),
                             (consumer, consumer % 97 + 1))
            self.assertEqual(self.client.subscribe(other, 0, consumer),
                             (consumer, consumer % 89 + 2))
            self.assertEqual(self.client.unsubscribe(other, consumer), consumer)

    def test_the_default_topic_has_a_book_too(self):
        self.client.commit(0, 11, 3)
        self.assertEqual(self.client.subscribe(0, 0, 11), (11, 3))

    def test_an_unknown_topic_is_refused(self):
        self.assert_refused("TOPIC_NOT_FOUND", self.client.subscribe, 3_000_000_000, 0, 1)

    def test_no_data_is_ever_pushed(self):
        self.client.subscribe(self.topic_id, 0, 12)
        with self.broker.client() as producer:
            producer.ingest(b"more", self.topic_id)
        self.assertTrue(self.client.nothing_more(0.3))


class Memory(harness.Test):
    def test_committed_offsets_survive_restart_and_crash(self):
        with harness.Broker() as broker:
            with broker.client() as client:
                topics = [client.create(f"book-{n}")["id"] for n in range(3)] + [0]
                for topic in topics:
                    for consumer in range(20):
                        client.commit(topic, consumer, 1)
                        client.commit(topic, consumer, 1000 * topic + consumer + 5)
            for again in (broker.restart, broker.crash, broker.restart):
                again()
                with broker.client() as client:
                    for topic in topics:
                        for consumer in range(20):
                            self.assertEqual(client.subscribe(topic, 0, consumer),
                                             (consumer, 1000 * topic + consumer + 5))

    def test_an_acknowledged_commit_survives_an_immediate_crash(self):
        with harness.Broker() as broker:
            with broker.client() as client:
                topic = client.create("book")["id"]
            for offset in range(1, 11):
                with broker.client() as client:
                    client.commit(topic, 9, offset)
                broker.crash()
                with broker.client() as client:
                    self.assertEqual(client.subscribe(topic, 0, 9), (9, offset))

    def test_many_consumers_do_not_wear_the_broker_out(self):
        with harness.Broker() as broker, broker.client(timeout=30) as client:
            topic = client.create("crowd")["id"]
            for first in range(0, 5000, 100):
                client.send(b"".join(lwp.control(lwp.COMMIT, lwp.commit_payload(topic, n, n + 1))
                                     for n in range(first, first + 100)))
                for _ in range(100):
                    self.assertEqual(client.receive().code, lwp.COMMIT_ACK)
            broker.crash()
            with broker.client() as again:
                for consumer in range(0, 5000, 371):
                    self.assertEqual(again.subscribe(topic, 0, consumer),
                                     (consumer, consumer + 1))


if __name__ == "__main__":
    harness.main()
