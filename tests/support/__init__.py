"""What tests of whole programs are made with."""
