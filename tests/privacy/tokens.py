"""User tokens as a product's server makes them, good and bad."""

import time
from datetime import timedelta

import jwt

from privacy.identity import create_secret

DAY = timedelta(days=1)


class Signer:
    """What signs for a project."""

    def __init__(self, project, overlap=DAY, *, secret=None):
        self.audience = project.slug
        self.secret = secret or create_secret(project=project, overlap=overlap)

    def token(self, sub="ann", *, life_seconds=600, **claims):
        """Sign a token; a claim of None is left out."""
        exp = int(time.time() + life_seconds)
        all_claims = {"sub": sub, "aud": self.audience, "exp": exp} | claims
        return jwt.encode(
            {name: value for name, value in all_claims.items() if value is not None}, self.secret
        )
