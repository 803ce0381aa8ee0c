-- Views over the manifests of a data set. Paths are relative to the data set:
--   cd DATASET && duckdb -init views.sql        or        vexpress query DATASET "SELECT …"

-- The newest row of each source counts.
CREATE OR REPLACE VIEW videos AS
SELECT * FROM read_parquet('manifests/videos/*.parquet', union_by_name = true)
QUALIFY row_number() OVER (PARTITION BY source ORDER BY committed_at DESC) = 1;

-- Sources that clips are made from: each content once.
CREATE OR REPLACE VIEW current_waves AS
SELECT video_id, wave_id FROM videos WHERE duplicate_of IS NULL;

CREATE OR REPLACE VIEW scenes AS
SELECT * FROM read_parquet('manifests/scenes/*.parquet', union_by_name = true)
SEMI JOIN current_waves USING (video_id, wave_id);

CREATE OR REPLACE VIEW tracks AS
SELECT * FROM read_parquet('manifests/tracks/*.parquet', union_by_name = true)
SEMI JOIN current_waves USING (video_id, wave_id);

-- Clips as the rules judged each by itself.
CREATE OR REPLACE VIEW judged AS
SELECT * FROM read_parquet('manifests/clips/*.parquet', union_by_name = true)
SEMI JOIN current_waves USING (video_id, wave_id);

CREATE OR REPLACE VIEW prints AS
SELECT * FROM read_parquet('manifests/prints/*.parquet', union_by_name = true)
SEMI JOIN current_waves USING (video_id, wave_id);

CREATE OR REPLACE VIEW faces AS
SELECT * FROM read_parquet('manifests/faces/*.parquet', union_by_name = true)
SEMI JOIN current_waves USING (video_id, wave_id);

-- About the whole data set: every part holds all of it, the newest counts.
CREATE OR REPLACE VIEW persons AS
SELECT * EXCLUDE (filename)
FROM read_parquet('manifests/persons/*.parquet', union_by_name = true, filename = true)
WHERE filename = (SELECT max(file) FROM glob('manifests/persons/*.parquet'));

CREATE OR REPLACE VIEW duplicates AS
SELECT * EXCLUDE (filename)
FROM read_parquet('manifests/duplicates/*.parquet', union_by_name = true, filename = true)
WHERE filename = (SELECT max(file) FROM glob('manifests/duplicates/*.parquet'));

-- With who is seen. A clip that the rules keep is rejected where a better copy is kept.
CREATE OR REPLACE VIEW clips AS
WITH copies AS (
    SELECT clip_id, duplicate_of, note FROM duplicates
    WHERE duplicate_of IN (SELECT clip_id FROM judged WHERE status = 'kept')
), said AS (
    SELECT judged.*, person_id,
           status = 'kept' AND copies.duplicate_of IS NOT NULL AS is_copy, copies.note
    FROM judged LEFT JOIN copies USING (clip_id)
    LEFT JOIN (SELECT clip_id, person_id FROM persons) USING (clip_id)
)
SELECT * EXCLUDE (is_copy, note) REPLACE (
    CASE WHEN is_copy THEN 'rejected' ELSE status END AS status,
    CASE WHEN is_copy THEN 'duplicate' ELSE reason END AS reason,
    CASE WHEN is_copy THEN note ELSE detail END AS detail
) FROM said;

CREATE OR REPLACE VIEW kps AS
SELECT * FROM read_parquet('manifests/kps/*.parquet', union_by_name = true)
SEMI JOIN current_waves USING (video_id, wave_id);

-- Named selections, and their clips one a row.
CREATE OR REPLACE VIEW picks AS
SELECT * FROM read_parquet('manifests/picks/*.parquet', union_by_name = true);

CREATE OR REPLACE VIEW picked AS
SELECT name, unnest(clip_ids) AS clip_id FROM picks;

-- One row a word, in the clip's own time.
CREATE OR REPLACE VIEW words AS
SELECT * FROM read_parquet('manifests/words/*.parquet', union_by_name = true)
SEMI JOIN current_waves USING (video_id, wave_id)
ORDER BY clip_id, index;

CREATE OR REPLACE VIEW runs AS
SELECT * FROM read_parquet('manifests/runs/*.parquet', union_by_name = true)
ORDER BY started_at;

CREATE OR REPLACE VIEW training AS
SELECT * FROM read_parquet('manifests/training/*.parquet', union_by_name = true)
ORDER BY run, stage, step;

-- The newest row of each request counts; what was rejected is gone once it was made.
CREATE OR REPLACE VIEW generations AS
WITH newest AS (
    SELECT * FROM read_parquet('manifests/generations/*.parquet', union_by_name = true)
    QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY finished_at DESC) = 1
)
SELECT * FROM newest
QUALIFY status = 'made'
    OR row_number() OVER (PARTITION BY asked_id ORDER BY finished_at DESC) = 1;

-- The newest number of each metric and video counts; `request_id` is null for a number of all
-- videos of a set of weights together.
CREATE OR REPLACE VIEW evaluations AS
SELECT * FROM read_parquet('manifests/evaluations/*.parquet', union_by_name = true)
QUALIFY row_number() OVER (
    PARTITION BY request_id, weights_sha256, metric ORDER BY evaluated_at DESC, key) = 1;

-- Each metric by weights; only rows with the same `measured_by` and `version` can be compared.
CREATE OR REPLACE VIEW evaluation_summary AS
SELECT metric, weights, weights_sha256, unit, better, measured_by, version,
       count(value) AS measured, count(*) - count(value) AS unmeasured,
       avg(value) AS mean, median(value) AS median,
       quantile_cont(value, 0.1) AS p10, quantile_cont(value, 0.9) AS p90
FROM evaluations
GROUP BY metric, weights, weights_sha256, unit, better, measured_by, version
ORDER BY metric, mean;

-- Two sets of weights on what both were asked for: in how many of the pairs the first is better
-- (a tie counts half).
CREATE OR REPLACE VIEW evaluation_pairs AS
WITH numbers AS (
    SELECT e.*, CASE better WHEN 'less' THEN -value WHEN 'near 0' THEN -abs(value)
                            WHEN 'near 1' THEN -abs(value - 1) ELSE value END AS merit,
           concat_ws(chr(31), reference, audio, coalesce(driving_kps, ''),
                     coalesce(driving_video, ''), coalesce(g.clip_id, ''), strategy,
                     parameters) AS asked
    FROM evaluations e JOIN generations g USING (request_id)
    WHERE value IS NOT NULL
)
SELECT a.metric, a.weights, b.weights AS other, a.weights_sha256,
       b.weights_sha256 AS other_sha256, count(*) AS pairs,
       avg(a.value - b.value) AS mean_difference,
       avg(CASE WHEN a.merit > b.merit THEN 1 WHEN a.merit = b.merit THEN 0.5 ELSE 0 END)
           AS better_share
FROM numbers a JOIN numbers b USING (asked, metric, version, measured_by)
WHERE a.weights_sha256 <> b.weights_sha256
GROUP BY ALL ORDER BY ALL;

CREATE OR REPLACE VIEW kept AS SELECT * FROM clips WHERE status = 'kept';
CREATE OR REPLACE VIEW rejected AS SELECT * FROM clips WHERE status = 'rejected';

-- From sources to kept clips. `step` orders the rows; hours of tracks count two faces
-- that are seen at once twice.
CREATE OR REPLACE VIEW funnel AS
WITH steps AS (
    SELECT 1 AS step, 'source' AS stage, 'found' AS status, NULL AS reason,
           count(*) AS units, sum(duration_s) AS seconds FROM videos
    UNION ALL
    SELECT 2, 'source', 'rejected', reason, count(*), sum(duration_s)
    FROM videos WHERE status = 'rejected' GROUP BY reason
    UNION ALL
    SELECT 2, 'source', 'duplicate', NULL, count(*), sum(duration_s)
    FROM videos WHERE status = 'ok' AND duplicate_of IS NOT NULL HAVING count(*) > 0
    UNION ALL
    SELECT 3, 'scene', 'found', NULL, count(*), sum(end_s - start_s) FROM scenes
    UNION ALL
    SELECT 4, 'track', 'found', NULL, count(*), sum(end_s - start_s) FROM tracks
    UNION ALL
    SELECT CASE status WHEN 'kept' THEN 7 ELSE 6 END, 'clip', status, reason,
           count(*), sum(end_s - start_s) FROM clips GROUP BY status, reason
)
SELECT step, stage, status, reason, units, coalesce(seconds, 0) / 3600 AS hours FROM steps
UNION ALL
SELECT 5, 'clip', 'candidates', NULL, coalesce(sum(units), 0)::BIGINT, coalesce(sum(seconds), 0) / 3600
FROM steps WHERE stage = 'clip'
ORDER BY step, units DESC, reason;

CREATE OR REPLACE VIEW hours AS
SELECT
    (SELECT coalesce(sum(duration_s), 0) / 3600 FROM videos) AS source_hours,
    coalesce(sum(end_s - start_s), 0) / 3600 AS candidate_hours,
    coalesce(sum(end_s - start_s) FILTER (status = 'kept'), 0) / 3600 AS kept_hours,
    coalesce(sum(end_s - start_s) FILTER (status = 'rejected'), 0) / 3600 AS rejected_hours
FROM clips;
