-- Where the first and the last job stand whose id begins so. No character is above U+10FFFF.
SELECT min(n), max(n) FROM jobs WHERE id BETWEEN ?1 AND ?1 || char(1114111)
