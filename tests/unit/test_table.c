/*
 * The demultiplexing table: finds what is in it, grows and shrinks by single buckets, walks completely.
 *
 * Loops over entries collect a verdict and assert once: each assertion of Check costs a write.
 */
#include "stack/table.h"
#include "suite.h"
#include <limits.h>

#define ENTRIES 20000u

static const uint8_t key[16] = "a secret of 16 b";
static struct pcb pcb[ENTRIES];
static struct mem mem;
static struct table table;

/* Distinct in remote address, ports or protocol. */
static void start(size_t budget)
{
	mem = (struct mem){.total_limit = budget};
	ck_assert(table_init(&table, &mem, key));
	for (uint32_t i = 0; i < ENTRIES; i++) {
		uint8_t a[4] = {198, 18, (uint8_t)(i >> 3), (uint8_t)(i & 3)};
		const struct stack_addr local = stack_addr_v4("\306\022\0\2"), remote = stack_addr_v4(a);

		pcb[i] = (struct pcb){
			.id = i, .lport = (uint16_t)(80 + i % 2), .rport = (uint16_t)(i / 2),
			.kind = i % 7 == 0 ? PCB_UDP : PCB_TCB,
		};
		pcb_set_local(&pcb[i], &local);
		pcb_set_remote(&pcb[i], &remote);
	}
}

static void end(void)
{
	table_done(&table);
	ck_assert_uint_eq(mem.total, 0);
}

static struct pcb *find(const struct pcb *p)
{
	struct stack_addr local = pcb_local_addr(p), remote = pcb_remote_addr(p);

	return table_find(&table, pcb_proto(p), &local, p->lport, &remote, p->rport);
}

static void insert(uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		table_insert(&table, &pcb[i]);
}

/* find gives each of these entries, or none of them. */
static bool all_found(uint32_t from, uint32_t to, bool expected)
{
	bool good = true;

	for (uint32_t i = from; i < to; i++)
		good &= find(&pcb[i]) == (expected ? &pcb[i] : NULL);
	return good;
}

static void remove_range(uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		table_remove(&table, &pcb[i]);
}

START_TEST(finds_what_is_in_it_and_nothing_else)
{
	start(SIZE_MAX);
	insert(0, ENTRIES / 2);
	ck_assert(all_found(0, ENTRIES / 2, true));
	ck_assert(all_found(ENTRIES / 2, ENTRIES, false));
	remove_range(0, ENTRIES / 4);
	ck_assert(all_found(0, ENTRIES / 4, false));
	ck_assert(all_found(ENTRIES / 4, ENTRIES / 2, true));
	end();
}
END_TEST

START_TEST(every_part_of_the_key_counts)
{
	struct pcb p;

	start(SIZE_MAX);
	insert(0, 1);
	p = pcb[0];
	p.lport++;
	ck_assert_ptr_null(find(&p));
	p = pcb[0];
	p.rport++;
	ck_assert_ptr_null(find(&p));
	p = pcb[0];
	p.local ^= 0x01000000;
	ck_assert_ptr_null(find(&p));
	p = pcb[0];
	p.remote ^= 1;
	ck_assert_ptr_null(find(&p));
	p = pcb[0];
	p.kind = PCB_TIME_WAIT;
	ck_assert_ptr_null(find(&p));
	pcb[1] = (struct pcb){.kind = PCB_LISTEN, .lport = 80};
	table_insert(&table, &pcb[1]);
	ck_assert_ptr_eq(find(&pcb[1]), &pcb[1]);
	p = pcb[1];
	p.local_v4 = 1; /* 0.0.0.0, which is an address, is not none */
	ck_assert_ptr_null(find(&p));
	p = pcb[1];
	p.remote_v4 = 1;
	ck_assert_ptr_null(find(&p));
	pcb[0].kind = PCB_UDP;
	ck_assert_ptr_eq(find(&pcb[0]), &pcb[0]);
	end();
}
END_TEST

START_TEST(load_stays_between_a_quarter_and_one)
{
	bool good = true;

	start(SIZE_MAX);
	for (uint32_t i = 0; i < ENTRIES; i++) {
		uint32_t before = table.buckets;

		table_insert(&table, &pcb[i]);
		good &= table.count <= table.buckets && table.buckets - before <= 2;
	}
	ck_assert(good);
	for (uint32_t i = 0; i < ENTRIES; i++) {
		uint32_t before = table.buckets;

		table_remove(&table, &pcb[i]);
		good &= table.count >= table.buckets / 4 && before - table.buckets <= 4;
	}
	ck_assert(good);
	ck_assert_uint_le(table.buckets, 3);
	ck_assert_uint_le(mem.total, 4 * sizeof(void *) + sizeof(struct port_page));
	end();
}
END_TEST

START_TEST(without_memory_it_only_gets_slower)
{
	start(64 * sizeof(void *));
	insert(0, 2000);
	ck_assert_uint_eq(table.buckets, 64);
	ck_assert(all_found(0, 2000, true));
	mem.total_limit = SIZE_MAX;
	insert(2000, 4000);
	ck_assert_uint_ge(table.buckets, 3900);
	remove_range(0, 4000);
	end();
}
END_TEST

START_TEST(entries_of_one_key_live_together)
{
	start(SIZE_MAX);
	for (uint32_t i = 0; i < 10; i++) {
		pcb[i] = (struct pcb){.id = i, .kind = PCB_BOUND};
		table_insert(&table, &pcb[i]);
	}
	insert(10, 1000);
	for (uint32_t i = 0; i < 10; i++) {
		struct pcb *p = find(&pcb[0]);

		ck_assert_ptr_nonnull(p);
		ck_assert_uint_lt(p->id, 10);
		table_remove(&table, p);
		ck_assert(!p->hashed);
	}
	ck_assert_ptr_null(find(&pcb[0]));
	end();
}
END_TEST

START_TEST(remove_twice_is_harmless)
{
	start(SIZE_MAX);
	insert(0, 10);
	table_remove(&table, &pcb[3]);
	table_remove(&table, &pcb[3]);
	ck_assert_uint_eq(table.count, 9);
	end();
}
END_TEST

START_TEST(replace_takes_the_place)
{
	start(SIZE_MAX);
	insert(0, 1000);
	for (uint32_t i = 1; i < 1000; i += 7) {
		struct pcb *form = &pcb[10000 + i], old = pcb[i];

		*form = old;
		form->kind = pcb[i].kind == PCB_UDP ? PCB_UDP : PCB_TIME_WAIT;
		table_replace(&table, &pcb[i], form);
		ck_assert_ptr_eq(find(&old), form);
		ck_assert(form->hashed && !pcb[i].hashed);
	}
	ck_assert_uint_eq(table.count, 1000);
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_ptr_nonnull(find(&pcb[i]));
	end();
}
END_TEST

static unsigned seen[ENTRIES];

static bool visit(void *arg, struct pcb *p)
{
	unsigned *budget = arg;

	seen[p->id]++;
	return budget == NULL || --*budget > 0;
}

/* The least and the most that entries of a range were seen. */
static bool seen_between(uint32_t from, uint32_t to, unsigned least, unsigned most)
{
	bool good = true;

	for (uint32_t i = from; i < to; i++)
		good &= seen[i] >= least && seen[i] <= most;
	return good;
}

static void seen_reset(void)
{
	memset(seen, 0, sizeof(seen));
}

START_TEST(walk_sees_each_entry_once)
{
	for (uint32_t n = 0; n < 300; n++) {
		uint64_t cursor = 0;

		start(SIZE_MAX);
		seen_reset();
		insert(0, n);
		while (table_walk(&table, &cursor, 10, visit, NULL))
			;
		ck_assert(seen_between(0, n, 1, 1));
		ck_assert(seen_between(n, ENTRIES, 0, 0));
		ck_assert(!table_walk(&table, &cursor, 10, visit, NULL));
		end();
	}
}
END_TEST

START_TEST(walk_is_complete_while_the_table_grows)
{
	uint64_t cursor = 0;
	uint32_t inserted = 1000;

	start(SIZE_MAX);
	seen_reset();
	insert(0, inserted);
	while (table_walk(&table, &cursor, 5, visit, NULL)) {
		uint32_t more = inserted + 60 < ENTRIES ? 60 : 0;

		insert(inserted, inserted + more);
		inserted += more;
	}
	ck_assert(seen_between(0, 1000, 1, UINT_MAX));
	ck_assert_uint_gt(inserted, 4000);
	end();
}
END_TEST

START_TEST(walk_is_complete_while_the_table_shrinks)
{
	uint64_t cursor = 0;
	uint32_t removed = ENTRIES;

	start(SIZE_MAX);
	seen_reset();
	insert(0, ENTRIES);
	while (table_walk(&table, &cursor, 20, visit, NULL)) {
		uint32_t less = removed > 1100 ? 60 : 0;

		remove_range(removed - less, removed);
		removed -= less;
	}
	ck_assert(seen_between(0, 1000, 1, UINT_MAX));
	ck_assert_uint_lt(table.buckets, ENTRIES / 3);
	end();
}
END_TEST

START_TEST(walk_stops_when_told_and_misses_nothing)
{
	uint64_t cursor = 0;
	unsigned budget = 25;

	start(SIZE_MAX);
	seen_reset();
	insert(0, 3000);
	while (table_walk(&table, &cursor, SIZE_MAX, visit, &budget)) {
		ck_assert_uint_eq(budget, 0);
		budget = 25;
	}
	ck_assert(seen_between(0, 3000, 1, UINT_MAX));
	end();
}
END_TEST

/* Of two with one key only the one that is not past is found, in either order; walks see both. */
START_TEST(what_is_past_is_passed_over)
{
	struct pcb later;

	start(SIZE_MAX);
	insert(0, 3);
	ck_assert(all_found(0, 3, true)); /* remembered as the last that was found */
	ck_assert(table_pass(&table, &pcb[2]));
	ck_assert_ptr_null(find(&pcb[2]));
	ck_assert_uint_eq(table.count, 3);
	later = pcb[2];
	later.past = later.hashed = false;
	table_insert(&table, &later);
	ck_assert_ptr_eq(find(&pcb[2]), &later);
	ck_assert_ptr_null(table_find_next(&later));
	ck_assert(!table_pass(&table, &later)); /* one is enough */
	ck_assert_ptr_eq(find(&pcb[2]), &later);
	table_remove(&table, &pcb[2]);
	ck_assert_ptr_eq(find(&later), &later);
	table_remove(&table, &later);
	ck_assert_ptr_null(find(&later));
	ck_assert(all_found(0, 2, true));
	end();
}
END_TEST

START_TEST(no_memory_at_all_fails_to_start)
{
	mem = (struct mem){.total_limit = 4};
	ck_assert(!table_init(&table, &mem, key));
	ck_assert_uint_eq(mem.total, 0);
}
END_TEST

/* Connections count, whatever else has the port; entries that are no connection do not. */
START_TEST(ports_of_connections)
{
	struct pcb bound = {.lport = 300, .kind = PCB_BOUND};
	bool good = true;

	start(SIZE_MAX);
	table_insert(&table, &bound);
	ck_assert(!table_port_used(&table, 300));
	for (uint32_t i = 0; i < ENTRIES; i++)
		pcb[i].lport = (uint16_t)(i / 2 * 5);
	insert(0, ENTRIES);
	for (uint32_t port = 0; port < 65536; port++) {
		uint32_t i = port / 5 * 2;
		bool used = port % 5 == 0 && i < ENTRIES && i / 2 != 0 && (i % 7 != 0 || (i + 1) % 7 != 0);

		good &= table_port_used(&table, (uint16_t)port) == used;
	}
	ck_assert(good);
	for (uint32_t i = 0; i < ENTRIES; i += 2)
		table_remove(&table, &pcb[i]);
	ck_assert(table_port_used(&table, 5) && table_port_used(&table, 40));
	for (uint32_t i = 1; i < ENTRIES; i += 2)
		table_remove(&table, &pcb[i]);
	for (uint32_t port = 0; port < 65536; port++)
		good &= !table_port_used(&table, (uint16_t)port);
	ck_assert(good);
	table_remove(&table, &bound);
	unsigned pages = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(table.page); i++)
		pages += table.page[i] != NULL;
	ck_assert_uint_eq(pages, 1); /* kept for the next connection */
	pcb[2].lport = 1;
	insert(2, 3);
	table_remove(&table, &pcb[2]);
	ck_assert(!table_port_used(&table, 1));
	end();
}
END_TEST

/* Then every port may be one, and a search has to tell. */
START_TEST(ports_without_memory)
{
	start(SIZE_MAX);
	mem.total_limit = mem.total + 1;
	insert(2, 3);
	ck_assert(table_port_used(&table, 12345));
	table_remove(&table, &pcb[2]);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("table");

	suite_add(s, "finds_what_is_in_it_and_nothing_else", finds_what_is_in_it_and_nothing_else);
	suite_add(s, "every_part_of_the_key_counts", every_part_of_the_key_counts);
	suite_add(s, "load_stays_between_a_quarter_and_one", load_stays_between_a_quarter_and_one);
	suite_add(s, "without_memory_it_only_gets_slower", without_memory_it_only_gets_slower);
	suite_add(s, "entries_of_one_key_live_together", entries_of_one_key_live_together);
	suite_add(s, "remove_twice_is_harmless", remove_twice_is_harmless);
	suite_add(s, "replace_takes_the_place", replace_takes_the_place);
	suite_add(s, "walk_sees_each_entry_once", walk_sees_each_entry_once);
	suite_add(s, "walk_is_complete_while_the_table_grows", walk_is_complete_while_the_table_grows);
	suite_add(s, "walk_is_complete_while_the_table_shrinks", walk_is_complete_while_the_table_shrinks);
	suite_add(s, "walk_stops_when_told_and_misses_nothing", walk_stops_when_told_and_misses_nothing);
	suite_add(s, "what_is_past_is_passed_over", what_is_past_is_passed_over);
	suite_add(s, "no_memory_at_all_fails_to_start", no_memory_at_all_fails_to_start);
	suite_add(s, "ports of connections", ports_of_connections);
	suite_add(s, "ports without memory", ports_without_memory);
	return suite_run(s);
}
