"""Everything that touches the database. The only package that imports SQLAlchemy."""
