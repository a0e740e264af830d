-- Version 3: what the ledger has counted so far, by customer, as `api/usage/index.rs` makes it of what
-- comes from now on. A migration is the one place where SQL knows what the items hold.

WITH
-- Every page of the ledger, and every event that was sent alone as a page of one line.
pages AS (
    SELECT
        partition || '/' || substr(sort, length('ledger/') + 1) AS source,
        substr(partition, length('producer/') + 1) AS name,
        json_extract(CAST(bytes AS TEXT), '$.received_at') AS received_at,
        json_extract(CAST(bytes AS TEXT), '$.lines') AS lines,
        0 AS alone
    FROM usage_tracking
    WHERE partition LIKE 'producer/%' AND sort LIKE 'ledger/%'
    UNION ALL
    SELECT
        partition,
        substr(partition, length('event/') + 1),
        json_extract(CAST(bytes AS TEXT), '$.received_at'),
        json_array(json_set(
            json_remove(CAST(bytes AS TEXT), '$.fingerprint', '$.received_at'),
            '$.status', 'accepted'
        )),
        1
    FROM usage_tracking
    WHERE partition LIKE 'event/%' AND sort = 'event'
),
-- Whose it is: `sol_…/test/secret_key/…`, or `cus_…/sol_…/test/token/…`.
named AS (
    SELECT *, '/test/token/' AS mark, instr(name, '/test/token/') AS mark_at, 1 AS from_customer
    FROM pages
    WHERE instr(name, '/test/token/') > 0
      AND instr(name || '/test/secret_key/', '/test/secret_key/') > instr(name, '/test/token/')
    UNION ALL
    SELECT *, '/test/secret_key/', instr(name, '/test/secret_key/'), 0
    FROM pages
    WHERE instr(name, '/test/secret_key/') > 0
      AND instr(name || '/test/token/', '/test/token/') > instr(name, '/test/secret_key/')
),
owned AS (
    SELECT
        source, received_at, lines, alone, from_customer,
        substr(name, mark_at + length(mark)) AS producer,
        CASE from_customer
            WHEN 1 THEN substr(name, instr(name, '/') + 1, mark_at - instr(name, '/') - 1)
            ELSE substr(name, 1, mark_at - 1)
        END AS solution_id
    FROM named
),
-- What counts, and in which hour.
counted AS (
    SELECT
        owned.*,
        line.key AS place,
        line.value AS line,
        json_extract(line.value, '$.event.customer_id') AS customer_id,
        json_extract(line.value, '$.event.action') AS action,
        substr(coalesce(
            json_extract(line.value, '$.difference.occurred_at'),
            json_extract(line.value, '$.event.occurred_at')
        ), 1, length('2026-11-22T07')) AS hour
    FROM owned, json_each(owned.lines) AS line
    WHERE json_extract(line.value, '$.status') = 'accepted'
      AND json_extract(line.value, '$.event') IS NOT NULL
)
INSERT OR IGNORE INTO usage_tracking (partition, sort, version, bytes)
SELECT
    'events/' || customer_id || '/' || solution_id,
    action || '/' || hour || '/' || printf(
        '%013d',
        -- Whole seconds, and as many of three decimals as there are.
        strftime('%s', substr(received_at, 1, 19)) * 1000
            + CAST(substr(rtrim(substr(received_at, 21), 'Z') || '000', 1, 3) AS INTEGER)
    ) || '/' || source,
    1,
    CAST(json_patch(
        json_object('received_at', received_at, 'lines', json_group_array(json(line) ORDER BY place)),
        json_patch(
            CASE alone WHEN 0 THEN json_object('producer', producer) ELSE '{}' END,
            CASE from_customer WHEN 1 THEN json_object('from_customer', json('true')) ELSE '{}' END
        )
    ) AS BLOB)
FROM counted
GROUP BY source, customer_id, action, hour;
