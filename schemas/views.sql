-- Views over the manifests of a data set. Paths are relative to the data set:
--   cd DATASET && duckdb -init views.sql        or        vexpress query DATASET "SELECT …"

-- `batch_id` was called `wave_id` in version 0.1; both names are answered until 0.3.

-- Sources, each once: its newest row.
CREATE OR REPLACE VIEW videos AS
SELECT * FROM (SELECT * REPLACE (coalesce(batch_id, wave_id) AS batch_id, coalesce(wave_id, batch_id) AS wave_id)
      FROM read_parquet('manifests/videos/*.parquet', union_by_name = true))
QUALIFY row_number() OVER (PARTITION BY source ORDER BY committed_at DESC) = 1;

-- The batch that counts of each content; the views below show rows of these batches alone.
CREATE OR REPLACE VIEW current_batches AS
SELECT video_id, batch_id FROM videos WHERE duplicate_of IS NULL;

-- Scenes between two cuts.
CREATE OR REPLACE VIEW scenes AS
SELECT * FROM (SELECT * REPLACE (coalesce(batch_id, wave_id) AS batch_id, coalesce(wave_id, batch_id) AS wave_id)
      FROM read_parquet('manifests/scenes/*.parquet', union_by_name = true))
SEMI JOIN current_batches USING (video_id, batch_id);

-- Faces tracked through scenes.
CREATE OR REPLACE VIEW tracks AS
SELECT * FROM (SELECT * REPLACE (coalesce(batch_id, wave_id) AS batch_id, coalesce(wave_id, batch_id) AS wave_id)
      FROM read_parquet('manifests/tracks/*.parquet', union_by_name = true))
SEMI JOIN current_batches USING (video_id, batch_id);

-- Segments as the rules find each by itself, before copies of others are rejected.
CREATE OR REPLACE VIEW filtered AS
SELECT * FROM (SELECT * REPLACE (coalesce(batch_id, wave_id) AS batch_id, coalesce(wave_id, batch_id) AS wave_id)
      FROM read_parquet('manifests/clips/*.parquet', union_by_name = true))
SEMI JOIN current_batches USING (video_id, batch_id);

-- What tells a copy of a clip.
CREATE OR REPLACE VIEW fingerprints AS
SELECT * FROM (SELECT * REPLACE (coalesce(batch_id, wave_id) AS batch_id, coalesce(wave_id, batch_id) AS wave_id)
      FROM read_parquet('manifests/fingerprints/*.parquet', union_by_name = true))
SEMI JOIN current_batches USING (video_id, batch_id);

-- A vector of the face of each clip.
CREATE OR REPLACE VIEW face_embeddings AS
SELECT * FROM (SELECT * REPLACE (coalesce(batch_id, wave_id) AS batch_id, coalesce(wave_id, batch_id) AS wave_id)
      FROM read_parquet('manifests/face_embeddings/*.parquet', union_by_name = true))
SEMI JOIN current_batches USING (video_id, batch_id);

-- The person of each clip: the newest part of the table, which holds the whole data set.
CREATE OR REPLACE VIEW persons AS
SELECT * EXCLUDE (filename)
FROM read_parquet('manifests/persons/*.parquet', union_by_name = true, filename = true)
WHERE filename = (SELECT max(file) FROM glob('manifests/persons/*.parquet'));

-- Clips of which there is a better copy: the newest part of the table, as of `persons`.
CREATE OR REPLACE VIEW duplicates AS
SELECT * EXCLUDE (filename)
FROM read_parquet('manifests/duplicates/*.parquet', union_by_name = true, filename = true)
WHERE filename = (SELECT max(file) FROM glob('manifests/duplicates/*.parquet'));

-- Every segment, kept or rejected, with all scores and its person. A clip that the rules keep is
-- rejected as `duplicate` where a better copy is kept.
CREATE OR REPLACE VIEW clips AS
WITH copies AS (
    SELECT clip_id, duplicate_of, note FROM duplicates
    WHERE duplicate_of IN (SELECT clip_id FROM filtered WHERE status = 'kept')
), said AS (
    SELECT filtered.*, person_id,
           status = 'kept' AND copies.duplicate_of IS NOT NULL AS is_copy, copies.note
    FROM filtered LEFT JOIN copies USING (clip_id)
    LEFT JOIN (SELECT clip_id, person_id FROM persons) USING (clip_id)
)
SELECT * EXCLUDE (is_copy, note) REPLACE (
    CASE WHEN is_copy THEN 'rejected' ELSE status END AS status,
    CASE WHEN is_copy THEN 'duplicate' ELSE reason END AS reason,
    CASE WHEN is_copy THEN note ELSE detail END AS detail
) FROM said;

-- Points of the face in every frame of each clip.
CREATE OR REPLACE VIEW kps AS
SELECT * FROM (SELECT * REPLACE (coalesce(batch_id, wave_id) AS batch_id, coalesce(wave_id, batch_id) AS wave_id)
      FROM read_parquet('manifests/kps/*.parquet', union_by_name = true))
SEMI JOIN current_batches USING (video_id, batch_id);

-- Named selections of clips, one a row.
CREATE OR REPLACE VIEW selections AS
SELECT * REPLACE (coalesce(selected_at, picked_at) AS selected_at,
                  coalesce(picked_at, selected_at) AS picked_at)
FROM read_parquet('manifests/selections/*.parquet', union_by_name = true)
QUALIFY row_number() OVER (PARTITION BY name ORDER BY coalesce(selected_at, picked_at) DESC) = 1;

-- Clips of the selections, one a row, with the name of the selection.
CREATE OR REPLACE VIEW selected AS
SELECT name, unnest(clip_ids) AS clip_id FROM selections;

-- Words that are spoken, in the clip's own time, in their order.
CREATE OR REPLACE VIEW words AS
SELECT * FROM (SELECT * REPLACE (coalesce(batch_id, wave_id) AS batch_id, coalesce(wave_id, batch_id) AS wave_id)
      FROM read_parquet('manifests/words/*.parquet', union_by_name = true))
SEMI JOIN current_batches USING (video_id, batch_id)
ORDER BY clip_id, index;

-- Who speaks when, in the clip's own time, in order.
CREATE OR REPLACE VIEW speaking AS
SELECT * FROM read_parquet('manifests/speaking/*.parquet', union_by_name = true)
SEMI JOIN current_batches USING (video_id, batch_id)
ORDER BY clip_id, start_s;

-- Runs with their settings, versions and weights, the oldest first. Runs of version 0.1 had no
-- `counts`: theirs are made from the columns they filled. What those columns held for `train` and
-- `generate` is answered until 0.3.
CREATE OR REPLACE VIEW runs AS
WITH counted AS (
    SELECT * REPLACE (coalesce(counts, CAST(CASE kind
        WHEN 'train' THEN json_object('clips', clips_kept, 'steps', units_run,
            'steps_done_before', units_reused)
        WHEN 'generate' THEN json_object('videos_made', clips_kept,
            'requests_done_before', videos_done_before,
            'requests_rejected', videos - units_run, 'requests_failed', units_run - clips_kept)
        ELSE json_object('videos', videos, 'videos_done_before', videos_done_before,
            'clips_kept', clips_kept, 'clips_rejected', clips_rejected,
            'units_run', units_run, 'units_reused', units_reused)
        END AS VARCHAR)) AS counts)
    FROM read_parquet('manifests/runs/*.parquet', union_by_name = true)
), named AS (
    SELECT *, kind = 'train' AS trains, kind = 'generate' AS makes,
           CAST(counts->>'$.clips' AS BIGINT) AS clips, CAST(counts->>'$.steps' AS BIGINT) AS steps,
           CAST(counts->>'$.steps_done_before' AS BIGINT) AS old_steps,
           CAST(counts->>'$.videos_made' AS BIGINT) AS made,
           CAST(counts->>'$.requests_failed' AS BIGINT) AS failed,
           CAST(counts->>'$.requests_rejected' AS BIGINT) AS refused,
           CAST(counts->>'$.requests_done_before' AS BIGINT) AS old_requests
    FROM counted
)
SELECT * EXCLUDE (trains, makes, clips, steps, old_steps, made, failed, refused, old_requests)
REPLACE (
    CASE WHEN trains THEN 0 WHEN makes THEN made + failed + refused ELSE videos END AS videos,
    CASE WHEN trains THEN 0 WHEN makes THEN old_requests ELSE videos_done_before END
        AS videos_done_before,
    CASE WHEN trains THEN clips WHEN makes THEN made ELSE clips_kept END AS clips_kept,
    CASE WHEN trains THEN 0 WHEN makes THEN refused + failed ELSE clips_rejected END
        AS clips_rejected,
    CASE WHEN trains THEN steps WHEN makes THEN made + failed ELSE units_run END AS units_run,
    CASE WHEN trains THEN old_steps WHEN makes THEN old_requests ELSE units_reused END
        AS units_reused
) FROM named
ORDER BY started_at;

-- What was measured in training, by run, stage and step.
CREATE OR REPLACE VIEW training AS
SELECT * FROM read_parquet('manifests/training/*.parquet', union_by_name = true)
ORDER BY run, stage, step;

-- Requests, each by its newest row; a rejected one is gone once its video was made.
CREATE OR REPLACE VIEW generations AS
WITH newest AS (
    SELECT * FROM read_parquet('manifests/generations/*.parquet', union_by_name = true)
    QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY finished_at DESC) = 1
)
SELECT * FROM newest
QUALIFY status = 'made'
    OR row_number() OVER (PARTITION BY asked_id ORDER BY finished_at DESC) = 1;

-- The newest number of each metric and generated video; `request_id` is null for a number of all
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

-- Clips to train on.
CREATE OR REPLACE VIEW kept AS SELECT * FROM clips WHERE status = 'kept';
-- Segments that are no clips, each with its reason.
CREATE OR REPLACE VIEW rejected AS SELECT * FROM clips WHERE status = 'rejected';

-- Hours of kept clips by person, language, median yaw and size of the face; each has its share.
CREATE OR REPLACE VIEW balance AS
WITH grouped AS (
    SELECT end_s - start_s AS seconds, unnest([
        {'dimension': 'person', 'value': coalesce(CAST(person_id AS VARCHAR), 'not known')},
        {'dimension': 'language', 'value': coalesce(language, 'not known')},
        {'dimension': 'yaw', 'value': coalesce(format('{:+d} to {:+d} degrees',
            CAST(15 * floor(yaw_deg / 15) AS INT), CAST(15 * floor(yaw_deg / 15) + 15 AS INT)), 'not known')},
        {'dimension': 'face share', 'value': coalesce(format('{:.1f} to {:.1f}',
            floor(face_share * 10) / 10, floor(face_share * 10) / 10 + 0.1), 'not known')}
    ], recursive := true) FROM kept
)
SELECT dimension, value, count(*) AS clips, sum(seconds) / 3600 AS hours,
       sum(seconds) / sum(sum(seconds)) OVER (PARTITION BY dimension) AS share
FROM grouped GROUP BY dimension, value
ORDER BY dimension, hours DESC, value;

-- From sources to kept clips, in units and hours. `step` orders the rows; hours of tracks count
-- two faces that are seen at once twice.
CREATE OR REPLACE VIEW funnel AS
WITH steps AS (
    SELECT 1 AS step, 'source' AS stage, 'found' AS status, NULL AS reason,
           count(*) AS units, sum(coalesce(span_end_s - span_start_s, duration_s)) AS seconds FROM videos
    UNION ALL
    SELECT 2, 'source', 'rejected', reason, count(*), sum(coalesce(span_end_s - span_start_s, duration_s))
    FROM videos WHERE status = 'rejected' GROUP BY reason
    UNION ALL
    SELECT 2, 'source', 'duplicate', NULL, count(*), sum(coalesce(span_end_s - span_start_s, duration_s))
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

-- Hours of sources, segments, kept clips and rejected segments, in one row.
CREATE OR REPLACE VIEW hours AS
SELECT
    (SELECT coalesce(sum(coalesce(span_end_s - span_start_s, duration_s)), 0) / 3600 FROM videos) AS source_hours,
    coalesce(sum(end_s - start_s), 0) / 3600 AS candidate_hours,
    coalesce(sum(end_s - start_s) FILTER (status = 'kept'), 0) / 3600 AS kept_hours,
    coalesce(sum(end_s - start_s) FILTER (status = 'rejected'), 0) / 3600 AS rejected_hours
FROM clips;

-- Names of version 0.1, answered until 0.3.
CREATE OR REPLACE VIEW judged AS FROM filtered;
CREATE OR REPLACE VIEW prints AS FROM fingerprints;
CREATE OR REPLACE VIEW faces AS FROM face_embeddings;
CREATE OR REPLACE VIEW picks AS FROM selections;
CREATE OR REPLACE VIEW picked AS FROM selected;
