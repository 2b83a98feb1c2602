-- Where the job of an id stands in the order of submission.
SELECT n FROM jobs WHERE id = ?
